BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE documents (
	sha256 TEXT NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (sha256)
)
 STRICT

;
INSERT INTO "documents" VALUES('1b4b97b53ebcab637f28e6aae8c76d09b84c629678cc0efb34eae0e697105dea',X'7B226964223A20226D30227D202F2F20');
INSERT INTO "documents" VALUES('b3f8e2d00d25055c0737928a7e69cf9b4c182e846825e3942b955bab81d716e3',X'7B226964223A20226D31227D202F2F20');
INSERT INTO "documents" VALUES('d78824481fb3d50306170f6cd9cb8153904f49c26208039627cc81e533724323',X'7B226964223A20226D31222C20226E616D65223A202230227D');
INSERT INTO "documents" VALUES('e45f6fc1a9bd7e058678a8234ee5028690634e35397395cb0159686cff3c5a6b',X'7B226964223A20226D31222C20226E616D65223A202231227D');
INSERT INTO "documents" VALUES('78c4d8e08f10d3d8e5f7ea894b1d3da5f862f624f697335beef6016b7bffae32',X'7B226964223A20226D32227D202F2F20');
INSERT INTO "documents" VALUES('19853a6f2ca48ae5dd9cd2c4eb6b41ea187b4dcdc444dd256203758e26f78508',X'7B226964223A20226D32222C20226E616D65223A202230227D');
INSERT INTO "documents" VALUES('e8880dc8f2c9d4591625fed91e43c43213227f8b7b008c616c7ee41d8e5bc01e',X'7B226964223A20226D32222C20226E616D65223A202231227D');
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
INSERT INTO "events" VALUES(1,'uid-0',1,'file-dropped',1,'2026-01-01T00:00:00.000000Z','folder',NULL,1,'{"facts":{"architecture":"llama","data_end":1000000000,"header_sha256":"0000000000000000000000000000000000000000000000000000000000000000","name":"M "},"link":null,"path":"models/m0.gguf","stamp":{"inode":1,"mtime_ns":0,"size":1000000000}}',X'1DBA3D316A1627887C9A1D5A948B23ADE61AE92661D25E1FA895A59F9A9B24ED');
INSERT INTO "events" VALUES(2,'uid-0',2,'model-registered',1,'2026-01-01T00:00:00.000000Z','janfs',1,1,'{"files":[],"folder":"models/m0","id":"m0","loose":"models/m0.gguf"}',X'755CBC2621E77CDE668671278A963C48FEDB6F817E398122F57A4BD17F09FA6E');
INSERT INTO "events" VALUES(3,'uid-0',3,'move-planned',1,'2026-01-01T00:00:00.000000Z','janfs',2,1,'{"op":"op-0","reason":"organise","source":"models/m0.gguf","stamp":{"inode":1,"mtime_ns":0,"size":1000000000},"target":"models/m0/m0.gguf"}',X'F6D65E8953D11CA33F435F52BACD0E178C82B28FD9DD9A677BA27CE22B4933C9');
INSERT INTO "events" VALUES(4,'uid-0',4,'move-completed',1,'2026-01-01T00:00:00.000000Z','janfs',3,1,'{"link":null,"op":"op-0","reason":"organise","source":"models/m0.gguf","stamp":{"inode":1,"mtime_ns":0,"size":1000000000},"target":"models/m0/m0.gguf"}',X'A8EBBBF4249584D13143760C8FD015D553BCCE1CA263BADB1C11AECE5221752F');
INSERT INTO "events" VALUES(5,'uid-0',5,'write-planned',1,'2026-01-01T00:00:00.000000Z','janfs',4,1,'{"op":"op-w0","path":"models/m0/model.json","sha256":"1b4b97b53ebcab637f28e6aae8c76d09b84c629678cc0efb34eae0e697105dea"}',X'E5BC4DBC70D13ECB6D012E15E29F2E0431666AE394800D51594EF58EA631CF1B');
INSERT INTO "events" VALUES(6,'uid-0',6,'json-written',1,'2026-01-01T00:00:00.000000Z','janfs',5,1,'{"manifest":{"engine_parameters":{"ctx_len":8192},"id":"m0","name":"Modell № 0"},"op":"op-w0","path":"models/m0/model.json","sha256":"1b4b97b53ebcab637f28e6aae8c76d09b84c629678cc0efb34eae0e697105dea","stamp":{"inode":0,"mtime_ns":1,"size":900}}',X'687FFCD8E556C4A18EAF5DC802E81FF3DFC722C0F8DF1D5DDEBEDE54A76C6A50');
INSERT INTO "events" VALUES(7,'uid-1',1,'file-dropped',1,'2026-01-01T00:00:00.000000Z','folder',NULL,7,'{"facts":{"architecture":"llama","data_end":1000000000,"header_sha256":"0000000000000000000000000000000000000000000000000000000000000001","name":"M "},"link":null,"path":"models/m1.gguf","stamp":{"inode":2,"mtime_ns":1,"size":1000000001}}',X'9B5686C35AA4524BA83B7AAA1067F808CDB71994154B6E0864818E83A95CCC0A');
INSERT INTO "events" VALUES(8,'uid-1',2,'model-registered',1,'2026-01-01T00:00:00.000000Z','janfs',7,7,'{"files":[],"folder":"models/m1","id":"m1","loose":"models/m1.gguf"}',X'6E7858C5BF019A535E4875F6F4EF9CF3A55E5FFFFD0F80EE5940DE2359929BAF');
INSERT INTO "events" VALUES(9,'uid-1',3,'move-planned',1,'2026-01-01T00:00:00.000000Z','janfs',8,7,'{"op":"op-1","reason":"organise","source":"models/m1.gguf","stamp":{"inode":2,"mtime_ns":1,"size":1000000001},"target":"models/m1/m1.gguf"}',X'DA1E44515A26059B1A73EF552C80C55EA47689ABDC8E574FD6A7A64F122D9B93');
INSERT INTO "events" VALUES(10,'uid-1',4,'move-completed',1,'2026-01-01T00:00:00.000000Z','janfs',9,7,'{"link":null,"op":"op-1","reason":"organise","source":"models/m1.gguf","stamp":{"inode":2,"mtime_ns":1,"size":1000000001},"target":"models/m1/m1.gguf"}',X'BDF2AC4053DF3FF1E4912A77406C29A2B849535B7EFEFFF656410A3A042E7102');
INSERT INTO "events" VALUES(11,'uid-1',5,'write-planned',1,'2026-01-01T00:00:00.000000Z','janfs',10,7,'{"op":"op-w1","path":"models/m1/model.json","sha256":"b3f8e2d00d25055c0737928a7e69cf9b4c182e846825e3942b955bab81d716e3"}',X'E780561563B719BB06EC415447C9A1DDC1C7317C83D603C002E5A3892D4787BA');
INSERT INTO "events" VALUES(12,'uid-1',6,'json-written',1,'2026-01-01T00:00:00.000000Z','janfs',11,7,'{"manifest":{"engine_parameters":{"ctx_len":8192},"id":"m1","name":"Modell № 1"},"op":"op-w1","path":"models/m1/model.json","sha256":"b3f8e2d00d25055c0737928a7e69cf9b4c182e846825e3942b955bab81d716e3","stamp":{"inode":1,"mtime_ns":1,"size":900}}',X'3D8A8E752148A48EB87497489135883AD4DEF848B5AB8372402BE695546C05E3');
INSERT INTO "events" VALUES(13,'uid-1',7,'json-edited',1,'2026-01-01T00:00:00.000000Z','folder',NULL,13,'{"manifest":{"id":"m1","name":"0"},"notes":[],"path":"models/m1/model.json","sha256":"d78824481fb3d50306170f6cd9cb8153904f49c26208039627cc81e533724323","stamp":{"inode":1,"mtime_ns":5,"size":25}}',X'6ABBC151C899D5AF9EE634846FB9C1FD6FE66BB42B9B557F3B2F89CF835C75AE');
INSERT INTO "events" VALUES(14,'uid-1',8,'json-edited',1,'2026-01-01T00:00:00.000000Z','folder',NULL,14,'{"manifest":{"id":"m1","name":"1"},"notes":[],"path":"models/m1/model.json","sha256":"e45f6fc1a9bd7e058678a8234ee5028690634e35397395cb0159686cff3c5a6b","stamp":{"inode":1,"mtime_ns":5,"size":25}}',X'C05D9688A3B13DF6B3F36DA0678FBFCB7661F8BD100393FA5132CC1E9D739D2C');
INSERT INTO "events" VALUES(15,'uid-2',1,'file-dropped',1,'2026-01-01T00:00:00.000000Z','folder',NULL,15,'{"facts":{"architecture":"llama","data_end":1000000000,"header_sha256":"0000000000000000000000000000000000000000000000000000000000000002","name":"M "},"link":null,"path":"models/m2.gguf","stamp":{"inode":3,"mtime_ns":2,"size":1000000002}}',X'B0AC434E348E46E8A1E2B12DBE7A0EA701B66C74052AC982AFD3C67C997CE21C');
INSERT INTO "events" VALUES(16,'uid-2',2,'model-registered',1,'2026-01-01T00:00:00.000000Z','janfs',15,15,'{"files":[],"folder":"models/m2","id":"m2","loose":"models/m2.gguf"}',X'0FC8E1E726C06DC9C8624ACFD3B3230275564DA060C1B80E8300ED5234325DA2');
INSERT INTO "events" VALUES(17,'uid-2',3,'move-planned',1,'2026-01-01T00:00:00.000000Z','janfs',16,15,'{"op":"op-2","reason":"organise","source":"models/m2.gguf","stamp":{"inode":3,"mtime_ns":2,"size":1000000002},"target":"models/m2/m2.gguf"}',X'16E9B37A7094255BC2CDB56393FB49BBE31D4BE0110F7D9846B5E60C12C63518');
INSERT INTO "events" VALUES(18,'uid-2',4,'move-completed',1,'2026-01-01T00:00:00.000000Z','janfs',17,15,'{"link":null,"op":"op-2","reason":"organise","source":"models/m2.gguf","stamp":{"inode":3,"mtime_ns":2,"size":1000000002},"target":"models/m2/m2.gguf"}',X'0056CE23DA82D610F228B59CE0658C0BC1D6A10C17FDBF597457B831B74D008A');
INSERT INTO "events" VALUES(19,'uid-2',5,'write-planned',1,'2026-01-01T00:00:00.000000Z','janfs',18,15,'{"op":"op-w2","path":"models/m2/model.json","sha256":"78c4d8e08f10d3d8e5f7ea894b1d3da5f862f624f697335beef6016b7bffae32"}',X'6049A675E78670E5EC6DC6440353B42CD0EB78577CA17F65B7EDAF6DC2404308');
INSERT INTO "events" VALUES(20,'uid-2',6,'json-written',1,'2026-01-01T00:00:00.000000Z','janfs',19,15,'{"manifest":{"engine_parameters":{"ctx_len":8192},"id":"m2","name":"Modell № 2"},"op":"op-w2","path":"models/m2/model.json","sha256":"78c4d8e08f10d3d8e5f7ea894b1d3da5f862f624f697335beef6016b7bffae32","stamp":{"inode":2,"mtime_ns":1,"size":900}}',X'17D4A2C9844519FBCE07BE341D291B8EE55D6DE33FF96FD57504FB9DE8B2654E');
INSERT INTO "events" VALUES(21,'uid-2',7,'json-edited',1,'2026-01-01T00:00:00.000000Z','folder',NULL,21,'{"manifest":{"id":"m2","name":"0"},"notes":[],"path":"models/m2/model.json","sha256":"19853a6f2ca48ae5dd9cd2c4eb6b41ea187b4dcdc444dd256203758e26f78508","stamp":{"inode":2,"mtime_ns":5,"size":25}}',X'60B9A44504D5F2D99A9FC1F143A862918368A57F7087F67E6B09C6684F6D3A15');
INSERT INTO "events" VALUES(22,'uid-2',8,'json-edited',1,'2026-01-01T00:00:00.000000Z','folder',NULL,22,'{"manifest":{"id":"m2","name":"1"},"notes":[],"path":"models/m2/model.json","sha256":"e8880dc8f2c9d4591625fed91e43c43213227f8b7b008c616c7ee41d8e5bc01e","stamp":{"inode":2,"mtime_ns":5,"size":25}}',X'F3EADABB5A878120D07A8266EE5D3D683711E3949049278CBE7AF8E37EC406C2');
INSERT INTO "events" VALUES(23,'uid-2',9,'model-started',1,'2026-01-01T00:00:00.000000Z','janfs',NULL,23,'{"engine":"llama-cpp","fingerprint":"0123456789abcdef","load_seconds":0.5,"pid":42}',X'6DDFB1C3435F3DBFBB3D1EB4BF139ECAA105A89D32637F33E4E2FE2D49C136D2');
INSERT INTO "events" VALUES(24,'uid-2',10,'move-planned',1,'2026-01-01T00:00:00.000000Z','api:x',23,23,'{"op":"op-d","reason":"delete","source":"models/m2","stamp":null,"target":".janfs/trash/m2"}',X'58EF0ECF511E44BE89875A640E2CB95681FD9718ECD3DFE98B6C32C1B8A1C088');
INSERT INTO "events" VALUES(25,'uid-2',11,'move-completed',1,'2026-01-01T00:00:00.000000Z','janfs',24,23,'{"link":null,"op":"op-d","reason":"delete","source":"models/m2","stamp":null,"target":".janfs/trash/m2"}',X'A2C4115B7741E3394505776A97020095A07ABD4149D22DAD508E5C4B1C8627E7');
INSERT INTO "events" VALUES(26,'uid-2',12,'model-deleted',1,'2026-01-01T00:00:00.000000Z','janfs',24,23,'{"id":"m2","trash":".janfs/trash/m2"}',X'90A31A0E91F966B342E8C117FFCA45CEAEFCB58E165FBB4E1B5DE93C66280237');
INSERT INTO "events" VALUES(27,'root',1,'root-unavailable',1,'2026-01-01T00:00:00.000000Z','janfs',NULL,27,'{"reason":"The disk is gone."}',X'EBA4F330824FB803A59B02C16631270A2BEA0E2AA0DCCAD5CF4EC03962660A98');
INSERT INTO "events" VALUES(28,'root',2,'root-returned',1,'2026-01-01T00:00:00.000000Z','janfs',NULL,28,'{}',X'91DD5088B50F5EBBF88A99FA0F7DEA51CD185A8E5035B950A252E4CAB83E9039');
INSERT INTO "events" VALUES(29,'uid-0',7,'move-planned',1,'2026-01-01T00:00:00.000000Z','janfs',NULL,29,'{"op":"op-open","reason":"organise","source":"models/a","stamp":null,"target":"models/b"}',X'6B5457862BA2957D59DBE6B66D160910ACFCE28F297B0B59FA08E0341D4DE12F');
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
INSERT INTO "projected" VALUES('catalogue','file','models/m0/m0.gguf','{"document":null,"duplicate_of":null,"facts":{"architecture":"llama","data_end":1000000000,"header_sha256":"0000000000000000000000000000000000000000000000000000000000000000","name":"M "},"hashed_by":null,"link":null,"manifest":null,"notes":[],"path":"models/m0/m0.gguf","position":4,"refused":null,"sha256":null,"stamp":{"inode":1,"mtime_ns":0,"size":1000000000},"stuck":null,"taken":null,"uid":"uid-0","written":null}');
INSERT INTO "projected" VALUES('catalogue','file','models/m0/model.json','{"document":"1b4b97b53ebcab637f28e6aae8c76d09b84c629678cc0efb34eae0e697105dea","duplicate_of":null,"facts":null,"hashed_by":null,"link":null,"manifest":{"engine_parameters":{"ctx_len":8192},"id":"m0","name":"Modell № 0"},"notes":[],"path":"models/m0/model.json","position":6,"refused":null,"sha256":null,"stamp":{"inode":0,"mtime_ns":1,"size":900},"stuck":null,"taken":null,"uid":"uid-0","written":"1b4b97b53ebcab637f28e6aae8c76d09b84c629678cc0efb34eae0e697105dea"}');
INSERT INTO "projected" VALUES('catalogue','file','models/m1/m1.gguf','{"document":null,"duplicate_of":null,"facts":{"architecture":"llama","data_end":1000000000,"header_sha256":"0000000000000000000000000000000000000000000000000000000000000001","name":"M "},"hashed_by":null,"link":null,"manifest":null,"notes":[],"path":"models/m1/m1.gguf","position":10,"refused":null,"sha256":null,"stamp":{"inode":2,"mtime_ns":1,"size":1000000001},"stuck":null,"taken":null,"uid":"uid-1","written":null}');
INSERT INTO "projected" VALUES('catalogue','file','models/m1/model.json','{"document":"e45f6fc1a9bd7e058678a8234ee5028690634e35397395cb0159686cff3c5a6b","duplicate_of":null,"facts":null,"hashed_by":null,"link":null,"manifest":{"id":"m1","name":"1"},"notes":[],"path":"models/m1/model.json","position":14,"refused":null,"sha256":null,"stamp":{"inode":1,"mtime_ns":5,"size":25},"stuck":null,"taken":null,"uid":"uid-1","written":"b3f8e2d00d25055c0737928a7e69cf9b4c182e846825e3942b955bab81d716e3"}');
INSERT INTO "projected" VALUES('catalogue','model','uid-0','{"aliases":[],"binary":"models/m0/m0.gguf","download_error":null,"folder":"models/m0","id":"m0","loose":null,"position":6,"reason":null,"registered_at":"2026-01-01T00:00:00.000000Z","removed":null,"status":"ready","stuck":null,"trash":null,"uid":"uid-0"}');
INSERT INTO "projected" VALUES('catalogue','model','uid-1','{"aliases":[],"binary":"models/m1/m1.gguf","download_error":null,"folder":"models/m1","id":"m1","loose":null,"position":14,"reason":null,"registered_at":"2026-01-01T00:00:00.000000Z","removed":null,"status":"ready","stuck":null,"trash":null,"uid":"uid-1"}');
INSERT INTO "projected" VALUES('catalogue','model','uid-2','{"aliases":[],"binary":null,"download_error":null,"folder":"models/m2","id":"m2","loose":null,"position":26,"reason":"The model file is not in the folder. Put it back, or delete the folder.","registered_at":"2026-01-01T00:00:00.000000Z","removed":"2026-01-01T00:00:00.000000Z","status":"missing","stuck":null,"trash":".janfs/trash/m2","uid":"uid-2"}');
INSERT INTO "projected" VALUES('catalogue','plan','op-open','{"document":null,"how":"move","op":"op-open","position":29,"reason":"organise","source":"models/a","stamp":null,"target":"models/b","uid":"uid-0"}');
INSERT INTO "projected" VALUES('catalogue','root','','{"available":true,"position":28,"reason":null}');
CREATE TABLE projections (
	name TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	PRIMARY KEY (name)
)
 STRICT

;
INSERT INTO "projections" VALUES('catalogue',3,29);
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: no UPDATE'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: no DELETE'); END;
CREATE TRIGGER events_next_position BEFORE INSERT ON events
        WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: wrong next position'); END;
CREATE TRIGGER events_next_version BEFORE INSERT ON events
        WHEN NEW.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream = NEW.stream)
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only: wrong next version'); END;
CREATE TRIGGER documents_no_update BEFORE UPDATE ON documents
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no UPDATE'); END;
CREATE TRIGGER documents_no_delete BEFORE DELETE ON documents
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no DELETE'); END;
CREATE TRIGGER documents_no_replace BEFORE INSERT ON documents
        WHEN EXISTS (SELECT 1 FROM documents WHERE sha256 = NEW.sha256)
        BEGIN SELECT RAISE(ABORT, 'documents are append-only: no REPLACE'); END;
COMMIT;
