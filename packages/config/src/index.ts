// run configuration: schema, recipes, flags.
export {};
