// How the original numbers its parameters for AdamW: first those with weight decay, then the others, each in the order of
// the state dict (reference 2.4, 4.1).

interface Named {
  readonly name: string;
  readonly shape: readonly number[];
}

const BUFFER = /\.(running_mean|running_var|num_batches_tracked)$/;

/** Whether weight decay applies. @param name with or without `module.` */
export function isDecayed({ name, shape }: Named): boolean {
  return shape.length >= 2 && !['bias', 'ln', 'bn'].some((part) => name.includes(part));
}

/** The parameters among the entries of a state dict, in the optimizer's order. */
export function optimizerOrder<T extends Named>(entries: readonly T[]): T[] {
  const parameters = entries.filter(({ name }) => !BUFFER.test(name));
  return [...parameters.filter(isDecayed), ...parameters.filter((entry) => !isDecayed(entry))];
}
