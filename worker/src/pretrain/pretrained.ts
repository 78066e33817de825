// Starts a run from weights made elsewhere (`--pretrained`): the model alone, at step 0. Not the continuation of a run, which
// is state-checkpoint.ts.
import { type Logger, SlipError } from '@slip/core';
import { type ModelConfig, modelFlags, stateLayout, type TensorEntry } from '@slip/model/architecture';
import { openWeights, readWhole, type StoredTensor, type Weights, widened } from '@slip/weights';
import type { TrainState } from './train-state.js';

/** Parts that weights have whole or not at all; what they do not have stays as it was initialised. */
const PARTS: readonly (readonly [what: string, names: RegExp])[] = [
  ['vision tower', /^visual\./],
  ['SSL head', /^image_mlp\./],
  ['text tower and projections', /./],
];

/**
 * Fills parameters and batch-norm statistics.
 * @param log told what was left out or stays as initialised; undefined on all ranks but one
 * @throws SlipError `checkpoint` when they do not fit the model of the run, with the flags of theirs
 */
export async function loadPretrained(
  file: string,
  model: ModelConfig,
  state: TrainState,
  log: Logger | undefined,
): Promise<void> {
  const weights = await openWeights(file);
  try {
    const given = new Map(weights.tensors.map((tensor) => [tensor.name, tensor]));
    const missing = checkParts(weights, given, stateLayout(model).entries);
    for (const entry of state.entries) {
      const tensor = given.get(entry.name);
      if (tensor !== undefined) await fill(state, entry, tensor);
      given.delete(entry.name);
    }
    for (const what of missing) log?.warn(`${file} has no ${what}: it begins as initialised`);
    const left = [...given.keys()];
    if (left.length > 0) log?.info(`left out ${left.length} tensors that ${model.name} has not, such as ${left[0]}`);
    for (const note of [...weights.notes, ...disagreements(weights, model)]) log?.warn(`${file}: ${note}`);
  } finally {
    await weights.close();
  }
}

/** @returns the parts that are missing as a whole */
function checkParts(
  weights: Weights,
  given: ReadonlyMap<string, StoredTensor>,
  entries: readonly TensorEntry[],
): string[] {
  const partOf = (name: string): string => PARTS.find(([, names]) => names.test(name))![0];
  const wanted = new Map(entries.map((entry) => [entry.name, entry]));
  const present = new Set([...given.keys()].map(partOf));
  for (const { name, shape } of entries) {
    const tensor = given.get(name);
    if (tensor === undefined ? present.has(partOf(name)) : `${tensor.shape}` !== `${shape}`) {
      throw misfit(
        weights,
        `${name} is [${shape}] in this run and ${tensor ? `[${tensor.shape}]` : 'not'} in the file`,
      );
    }
  }
  const foreign = [...given.keys()].find((name) => name.startsWith('visual.') && !wanted.has(name));
  if (foreign !== undefined) throw misfit(weights, `the vision tower of this run has no ${foreign}`);
  return [...new Set(entries.map(({ name }) => partOf(name)))].filter((part) => !present.has(part));
}

function misfit(weights: Weights, what: string): SlipError {
  return new SlipError('checkpoint', `--pretrained ${weights.path}: ${what}; ${advice(weights)}`);
}

/** The sizes of the file's model, as far as they are flags. */
function advice({ model }: Weights): string {
  const { family, vision, text, ssl, embedDim, name } = model;
  try {
    const flags = modelFlags({
      name: name ?? '',
      family: family ?? 'SIMCLR',
      vision: { ...vision, heads: vision.heads ?? 1 },
      embedDim: embedDim ?? 512,
      ...(text === undefined ? {} : { text: { ...text, heads: text.heads ?? 1 } }),
      ...(ssl === undefined ? {} : { ssl }),
    });
    return `its sizes are those of ${flags.join(' ')}`;
  } catch (error) {
    return SlipError.from(error).message;
  }
}

/** Options that tensors do not show; the run's own are used. */
function disagreements({ model }: Weights, { vision, text }: ModelConfig): string[] {
  const pairs: [flag: string, file: unknown, run: unknown][] = [
    ['--vision-heads', model.vision.heads, vision.heads],
    ...(vision.kind === 'vit' && model.vision.kind === 'vit'
      ? ([
          ['--vision-activation', model.vision.activation, vision.activation],
          ['--vision-norm-eps', model.vision.normEps, vision.normEps],
        ] as [string, unknown, unknown][])
      : []),
    ...(model.text === undefined || text === undefined
      ? []
      : ([
          ['--text-heads', model.text.heads, text.heads],
          ['--text-activation', model.text.activation, text.activation],
        ] as [string, unknown, unknown][])),
  ];
  return pairs
    .filter(([, file, run]) => file !== undefined && file !== run)
    .map(
      ([flag, file, run]) => `it was made with ${flag} ${file}, this run has ${run}, and will compute something else`,
    );
}

/** Copies one tensor into its place in the state. @throws SlipError `unsupported` for numbers that are no float32 or halves */
export async function fill(
  state: TrainState,
  { kind, dtype, offset, size }: TensorEntry,
  tensor: StoredTensor,
): Promise<void> {
  if (dtype === 'int64') {
    state.batchesTracked = Number(new DataView((await readWhole(tensor)).buffer).getBigInt64(0, true));
    return;
  }
  const single = widened(tensor);
  if (single.dtype !== 'F32') {
    throw new SlipError('unsupported', `${tensor.name} has the type ${tensor.dtype}; float32 or halves are wanted`);
  }
  const arena = kind === 'param' ? state.params : state.buffers;
  const bytes = new Uint8Array(arena.buffer, arena.byteOffset + offset * 4, size * 4);
  let done = 0;
  for await (const piece of single.chunks()) {
    bytes.set(piece, done);
    done += piece.length;
  }
}
