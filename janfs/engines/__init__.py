"""Running models: the types any engine speaks, the pool of engines, and llama.cpp in worker processes."""
