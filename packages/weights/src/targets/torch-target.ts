// The two `.pt` forms: one that PyTorch loads with `weights_only=True`, one that the original's scripts load.
import { SlipError } from '@slip/core';
import { type Picklable, python } from '@slip/pickle';
import { widened } from '../maps/rearrange.js';
import { beyondTheOriginal, requireOwnModel } from '../model-description.js';
import type { Weights } from '../open-weights.js';
import type { StoredTensor } from '../stored-tensor.js';
import { isDecayed, optimizerOrder } from '../torch/optimizer-order.js';
import { type WriteProgress, writeTorchFile } from '../torch/write-torch-file.js';

type PlaceTensor = (tensor: StoredTensor) => Picklable;
type Dict = Map<Picklable, Picklable>;

export interface TorchTargetOptions {
  /** Also write the moments of AdamW where the source has them. */
  readonly optimizer: boolean;
  readonly onProgress?: WriteProgress | undefined;
}

/**
 * `{epoch, model, state_dict}` with plain names, and `optimizer` on demand. Without the optimizer there is no
 * floating-point number in its pickle, because the restricted reader of PyTorch 1.13 knows none; with it, 2.0 is needed.
 * @returns bytes written
 */
export async function writeSafeTorch(file: string, weights: Weights, options: TorchTargetOptions): Promise<number> {
  const { name, ssl } = weights.model;
  const facts: Dict = new Map([
    ...(name === undefined ? [] : [['name', name] as [Picklable, Picklable]]),
    ...(ssl === undefined
      ? []
      : ([
          ['ssl_mlp_dim', ssl.mlpDim],
          ['ssl_emb_dim', ssl.embDim],
        ] as [Picklable, Picklable][])),
  ]);
  return writeTorchFile(
    file,
    (place) => {
      const document: Dict = new Map<Picklable, Picklable>([
        ['epoch', Math.trunc(weights.epoch ?? 0)],
        ['model', facts],
        ['state_dict', stateDict(weights.tensors, '', place)],
      ]);
      if (options.optimizer) document.set('optimizer', optimizerDict(weights, place));
      return document;
    },
    options.onProgress,
  );
}

/**
 * The original's checkpoint: names with `module.`, a Namespace of options, optimizer and loss scaler. PyTorch 2.6 and later
 * loads it only with `weights_only=False`.
 * @throws SlipError `unsupported` or `checkpoint` when the original could not build this model
 */
export async function writeOriginal(file: string, weights: Weights, options: TorchTargetOptions): Promise<number> {
  requireOwnModel(weights.path, weights.tensors, weights.model);
  const foreign = beyondTheOriginal(weights.model);
  if (foreign.length > 0) {
    throw new SlipError('unsupported', `the original cannot hold ${weights.path}: it has ${foreign.join(', ')}`);
  }
  const { name } = weights.model;
  if (name === undefined) {
    throw new SlipError(
      'config',
      `${weights.path} does not tell which model it is; name it, for example --model SLIP_VITB16`,
    );
  }
  return writeTorchFile(
    file,
    (place) => {
      const document: Dict = new Map<Picklable, Picklable>([
        ['epoch', Math.trunc(weights.epoch ?? 0)],
        ['state_dict', stateDict(weights.tensors.map(widened), 'module.', place)],
      ]);
      if (options.optimizer) document.set('optimizer', optimizerDict(weights, place));
      // An empty one would stop the original from continuing with mixed precision, which is its default.
      document.set('scaler', freshScaler());
      document.set('best_acc1', python.float(weights.bestAcc1 ?? 0));
      document.set('args', python.object(python.global('argparse', 'Namespace'), namespace(weights, name)));
      return document;
    },
    options.onProgress,
  );
}

function stateDict(tensors: readonly StoredTensor[], prefix: string, place: PlaceTensor): Picklable {
  return python.orderedDict(new Map(tensors.map((tensor) => [`${prefix}${tensor.name}`, place(tensor)])));
}

function freshScaler(): Dict {
  return new Map<Picklable, Picklable>([
    ['scale', python.float(65536)],
    ['growth_factor', python.float(2)],
    ['backoff_factor', python.float(0.5)],
    ['growth_interval', 2000],
    ['_growth_tracker', 0],
  ]);
}

function optimizerDict(weights: Weights, place: PlaceTensor): Dict {
  const order = optimizerOrder(weights.tensors);
  const moments = new Map((weights.moments ?? []).map((tensor) => [tensor.name, tensor]));
  const state: Dict = new Map();
  for (const [index, { name }] of order.entries()) {
    const [average, square] = ['exp_avg', 'exp_avg_sq'].map((moment) => moments.get(`${moment}/${name}`));
    if (average === undefined || square === undefined) continue;
    state.set(
      index,
      new Map<Picklable, Picklable>([
        ['step', weights.step ?? 0],
        ['exp_avg', place(average)],
        ['exp_avg_sq', place(square)],
      ]),
    );
  }
  const decayed = order.filter(isDecayed).length;
  const option = (names: readonly string[], otherwise: number): number => {
    const value = names.map((key) => weights.args?.[key]).find((candidate) => typeof candidate === 'number');
    return typeof value === 'number' ? value : otherwise;
  };
  const group = (weightDecay: number, begin: number, end: number): Dict =>
    new Map<Picklable, Picklable>([
      ['weight_decay', python.float(weightDecay)],
      ['lr', python.float(option(['lr'], 3e-3))],
      ['betas', python.tuple(...betasOf(weights).map(python.float))],
      ['eps', python.float(option(['eps'], 1e-8))],
      ['amsgrad', false],
      ['params', Array.from({ length: end - begin }, (_, i) => begin + i)],
    ]);
  return new Map<Picklable, Picklable>([
    ['state', state],
    ['param_groups', [group(option(['wd'], 0.1), 0, decayed), group(0, decayed, order.length)]],
  ]);
}

function betasOf({ args }: Weights): number[] {
  const betas = args?.betas;
  return Array.isArray(betas) && betas.length === 2 && betas.every((beta) => typeof beta === 'number')
    ? betas
    : [0.9, 0.98];
}

/** Options that Python keeps as float even where they are whole. */
const FLOATS = new Set(['lr', 'lr_start', 'lr_end', 'wd', 'eps', 'ssl_scale', 'ssl_temp']);

function namespace(weights: Weights, model: string): Dict {
  const attributes: Dict = new Map();
  for (const [key, value] of Object.entries(weights.args ?? {})) {
    const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replaceAll('-', '_');
    attributes.set(name, FLOATS.has(name) && typeof value === 'number' ? python.float(value) : fromJson(value));
  }
  const rows = attributes.get('batch_size');
  if (typeof rows === 'number' && weights.globalBatch !== undefined && weights.globalBatch % rows === 0) {
    attributes.set('world_size', weights.globalBatch / rows);
  }
  attributes.set('model', model);
  attributes.set('ssl_mlp_dim', weights.model.ssl?.mlpDim ?? 4096);
  attributes.set('ssl_emb_dim', weights.model.ssl?.embDim ?? 256);
  return attributes;
}

function fromJson(value: unknown): Picklable {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string')
    return value;
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value === 'object')
    return new Map(Object.entries(value as object).map(([key, item]) => [key, fromJson(item)]));
  return null;
}
