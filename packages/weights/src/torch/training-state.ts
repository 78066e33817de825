// Finds the model's tensors and the optimizer's moments in what `torch.save` was given: the original's dict, a plain state
// dict, a fine-tuning checkpoint, or the modules of a TorchScript archive.
import { SlipError } from '@slip/core';
import { Namespace, OpaqueObject, type PickleValue, TorchTensor } from '@slip/pickle';
import { readWhole, type StoredTensor } from '../stored-tensor.js';
import { optimizerOrder } from './optimizer-order.js';
import type { TorchFile } from './torch-file.js';

export interface TrainingState {
  /** Under the names in the file. */
  readonly tensors: readonly StoredTensor[];
  readonly moments?: readonly StoredTensor[];
  readonly step?: number;
}

/** Where a dict may keep the state dict, in the order of asking; the second is BEiT's, the third that of many others. */
const STATE_KEYS = ['state_dict', 'model', 'model_state_dict'];
/** Modules in modules; a module that contains itself would never end. */
const MAX_DEPTH = 40;
/** Values in all: a pickle can share them so that there is no end to walking it. */
const MAX_VALUES = 1_000_000;

/** @throws SlipError `checkpoint` when there are no tensors, or the optimizer's state does not belong to the model */
export async function readTrainingState(torch: TorchFile): Promise<TrainingState> {
  const tensors = [...findTensors(torch, stateDictOf(torch.root), '', 0, { left: MAX_VALUES })];
  if (tensors.length === 0) {
    throw new SlipError(
      'checkpoint',
      `${torch.path} holds no tensors by name; a state dict or a checkpoint was expected`,
    );
  }
  const optimizer = torch.root instanceof Map ? torch.root.get('optimizer') : undefined;
  return { tensors, ...(optimizer instanceof Map ? await readOptimizer(torch, optimizer, tensors) : {}) };
}

function stateDictOf(root: PickleValue): PickleValue {
  if (!(root instanceof Map)) return root;
  for (const key of STATE_KEYS) {
    const value = root.get(key);
    if (value instanceof Map && value.size > 0) return value;
  }
  return root;
}

/** Tensors by dotted name; what is none (numbers, flags, code) is passed over. */
function* findTensors(
  torch: TorchFile,
  value: PickleValue,
  prefix: string,
  depth: number,
  budget: { left: number },
): Generator<StoredTensor> {
  if (budget.left-- <= 0) throw new SlipError('checkpoint', `${torch.path} nests more than ${MAX_VALUES} values`);
  if (value instanceof TorchTensor) {
    yield torch.tensor(prefix, value);
    return;
  }
  const members = membersOf(value);
  if (members === undefined || depth > MAX_DEPTH) return;
  for (const [key, member] of members) {
    if (typeof key !== 'string') continue;
    yield* findTensors(torch, member, prefix === '' ? key : `${prefix}.${key}`, depth + 1, budget);
  }
}

function membersOf(value: PickleValue): ReadonlyMap<PickleValue, PickleValue> | undefined {
  if (value instanceof Map) return value;
  if (value instanceof OpaqueObject && value.state instanceof Map) return value.state;
  return value instanceof Namespace ? value.attributes : undefined;
}

/** AdamW as PyTorch stores it: states by number, numbered group by group. */
async function readOptimizer(
  torch: TorchFile,
  optimizer: ReadonlyMap<PickleValue, PickleValue>,
  tensors: readonly StoredTensor[],
): Promise<Pick<TrainingState, 'moments' | 'step'>> {
  const states = optimizer.get('state');
  if (!(states instanceof Map) || states.size === 0) return {};
  const names = optimizerOrder(tensors);
  const moments: StoredTensor[] = [];
  let step: number | undefined;
  for (const [index, state] of states) {
    if (!(state instanceof Map) || !state.has('exp_avg')) return {};
    const parameter = typeof index === 'number' ? names[index] : undefined;
    if (parameter === undefined) {
      throw new SlipError(
        'checkpoint',
        `${torch.path} has optimizer state ${String(index)} for a model of ${names.length} parameters`,
      );
    }
    for (const moment of ['exp_avg', 'exp_avg_sq']) {
      const tensor = state.get(moment);
      const name = `${moment}/${parameter.name.replace(/^module\./, '')}`;
      if (!(tensor instanceof TorchTensor) || `${tensor.shape}` !== `${parameter.shape}`) {
        throw new SlipError('checkpoint', `${torch.path} has no ${name} of the shape [${parameter.shape}]`);
      }
      moments.push(torch.tensor(name, tensor));
    }
    step ??= await readStep(torch, state.get('step'));
  }
  if (moments.length !== 2 * names.length) {
    throw new SlipError(
      'checkpoint',
      `${torch.path} has optimizer state for ${moments.length / 2} of ${names.length} parameters`,
    );
  }
  return { moments, ...(step === undefined ? {} : { step }) };
}

/** A number until PyTorch 1.11, a tensor of one float32 since. All parameters have the same. */
async function readStep(torch: TorchFile, value: PickleValue | undefined): Promise<number | undefined> {
  if (typeof value === 'number') return value;
  if (!(value instanceof TorchTensor)) return undefined;
  const bytes = await readWhole(torch.tensor('step', value));
  if (value.storage.dtype !== 'float32' || bytes.length !== 4) return undefined;
  return new DataView(bytes.buffer).getFloat32(0, true);
}
