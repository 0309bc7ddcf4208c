BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE archived_streams (
	stream TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (stream)
)
 STRICT

;
CREATE TABLE documents (
	sha256 TEXT NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (sha256)
)
 STRICT

;
INSERT INTO "documents" VALUES('55ec42fd90087672af769027edbf66b2ef35c8c3c10b73cd29fe049211e0dd37',X'7B226E616D65223A20225A6570687972227D');
CREATE TABLE events (
	position INTEGER NOT NULL, 
	stream TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	type TEXT NOT NULL, 
	schema INTEGER NOT NULL, 
	recorded_at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	cause INTEGER, 
	correlation INTEGER NOT NULL, 
	data TEXT NOT NULL, 
	hash BLOB NOT NULL, 
	PRIMARY KEY (position), 
	UNIQUE (stream, version)
)
 STRICT

;
INSERT INTO "events" VALUES(1,'a',1,'file-dropped',1,'2026-01-01T00:00:00.000000Z','folder',NULL,1,'{"path":"é"}',X'06908E99590EE4902D8B129BCE02B700310C916A8E0FF94612FF7F3FFCC64002');
INSERT INTO "events" VALUES(2,'b',1,'file-dropped',1,'2026-01-01T00:00:00.000000Z','folder',NULL,2,'{}',X'38D3A8CE644DB44D3F9D4D695CA76056B134535B14329BEF3EE5336F3CB4AFCF');
INSERT INTO "events" VALUES(3,'a',2,'file-dropped',1,'2026-01-01T00:00:00.000000Z','folder',1,1,'{}',X'D755C24D63207A59903B19772539DFDB3C3B880C6854F099C20EBAA458735E4F');
INSERT INTO "events" VALUES(4,'a',3,'file-dropped',1,'2026-01-01T00:00:00.000000Z','folder',3,1,'{}',X'96DA86B7A319B9D562D4F5E4481D99E72F5C7EF185F079A50990BBEE86632519');
INSERT INTO "events" VALUES(5,'b',2,'file-dropped',1,'2026-01-01T00:00:00.000000Z','folder',NULL,5,'{}',X'07DF4B94326C8B223B548EE685E0814ECA30462403A567DC32EDE58C29417E51');
INSERT INTO "events" VALUES(6,'a',4,'file-dropped',1,'2026-01-01T00:00:00.000000Z','folder',NULL,6,'{}',X'D36661690F51E10AD10945CE723309265CC24CEF7721A6383003F6EA472E970C');
CREATE TABLE projected (
	projection TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (projection, kind, "key"), 
	FOREIGN KEY(projection) REFERENCES projections (name)
)
 WITHOUT ROWID,
 STRICT

;
INSERT INTO "projected" VALUES('catalogue','root','','{"available":true}');
CREATE TABLE projections (
	name TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	PRIMARY KEY (name)
)
 STRICT

;
INSERT INTO "projections" VALUES('catalogue',1,6);
CREATE TABLE seam (
	position INTEGER NOT NULL, 
	hash BLOB NOT NULL, 
	data TEXT NOT NULL, 
	PRIMARY KEY (position)
)
 STRICT

;
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: no UPDATE'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: no DELETE'); END;
CREATE TRIGGER documents_no_update BEFORE UPDATE ON documents
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no UPDATE'); END;
CREATE TRIGGER documents_no_delete BEFORE DELETE ON documents
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no DELETE'); END;
CREATE TRIGGER documents_no_replace BEFORE INSERT ON documents
        WHEN EXISTS (SELECT 1 FROM documents WHERE sha256 = NEW.sha256)
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no REPLACE'); END;
CREATE TRIGGER events_next_position BEFORE INSERT ON events
        WHEN NEW.position IS NOT
            (SELECT coalesce(max(position), (SELECT max(position) FROM seam), 0) + 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: wrong next position'); END;
CREATE TRIGGER events_next_version BEFORE INSERT ON events
        WHEN NEW.version IS NOT coalesce(
            (SELECT max(version) FROM events WHERE stream = NEW.stream),
            (SELECT version FROM archived_streams WHERE stream = NEW.stream), 0) + 1
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: wrong next version'); END;
CREATE TRIGGER seam_no_update BEFORE UPDATE ON seam
        BEGIN SELECT RAISE(ABORT, 'the seam is append-only: no UPDATE'); END;
CREATE TRIGGER seam_no_delete BEFORE DELETE ON seam
        BEGIN SELECT RAISE(ABORT, 'the seam is append-only: no DELETE'); END;
CREATE TRIGGER seam_before_events BEFORE INSERT ON seam
        WHEN EXISTS (SELECT 1 FROM seam) OR EXISTS (SELECT 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'the seam is append-only: it comes before all events'); END;
CREATE TRIGGER archived_streams_no_update BEFORE UPDATE ON archived_streams
        BEGIN SELECT RAISE(ABORT, 'archived streams are append-only: no UPDATE'); END;
CREATE TRIGGER archived_streams_no_delete BEFORE DELETE ON archived_streams
        BEGIN SELECT RAISE(ABORT, 'archived streams are append-only: no DELETE'); END;
CREATE TRIGGER archived_streams_before_events BEFORE INSERT ON archived_streams
        WHEN EXISTS (SELECT 1 FROM archived_streams WHERE stream = NEW.stream)
            OR EXISTS (SELECT 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'archived streams are append-only: they come before all events'); END;
COMMIT;
