"""llama.cpp behind the engine protocol: `client` on the host's side, `worker` the process with the model."""
