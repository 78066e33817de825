// datasets, tokenizer, transforms, sampler, loader.
export {};
