// checkpoint folders: safetensors, manifest, commit.
export {};
