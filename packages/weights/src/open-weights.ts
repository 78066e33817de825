// Opens weights of any known kind: our checkpoint folders, safetensors and `.pt` files in the names of the original, timm,
// OpenAI, Hugging Face or open_clip. What comes out has our names; tensors are read when they are asked for.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { Namespace, type PickleValue } from '@slip/pickle';
import { configHints } from './config-hints.js';
import { toOurs } from './maps/apply-map.js';
import { KEY_MAPS, recogniseFormat, type WeightsFormat } from './maps/key-rules.js';
import { describeModel, inStateDictOrder, type ModelDescription, type ModelHints } from './model-description.js';
import { openOwnCheckpoint, openSafetensors, type TensorsOnDisk } from './safetensors-source.js';
import { renamed, type StoredTensor } from './stored-tensor.js';
import { plainArgs } from './torch/plain-args.js';
import { openTorchFile } from './torch/torch-file.js';
import { readTrainingState } from './torch/training-state.js';

export interface TrainingFacts {
  /** Completed epochs. */
  readonly epoch?: number;
  /** Optimizer steps applied. */
  readonly step?: number;
  /** Percent; best zero-shot top-1 so far. */
  readonly bestAcc1?: number;
  /** Rows per micro-batch over all ranks; negatives and batch norm depend on it. */
  readonly globalBatch?: number;
  /** Options of the run that made it: what Python's Namespace held, as JSON. */
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface Weights extends TrainingFacts {
  readonly path: string;
  /** How the bytes are kept. */
  readonly container: 'checkpoint' | 'safetensors' | 'torch' | 'torchscript';
  readonly format: WeightsFormat;
  /** Under our names, those of a whole model in the order of the original's state dict. */
  readonly tensors: readonly StoredTensor[];
  /** `exp_avg/<name>` and `exp_avg_sq/<name>`; absent without an optimizer. */
  readonly moments?: readonly StoredTensor[];
  readonly model: ModelDescription;
  /** Worth knowing: what was left out, names that a pickle should not have. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/**
 * @param hints override what the file says
 * @throws SlipError `checkpoint` or `unsupported`; nothing stays open then
 */
export async function openWeights(source: string, hints: ModelHints = {}): Promise<Weights> {
  const opened = await openContainer(source);
  try {
    const stored = withoutWrapper(opened.tensors);
    const names = stored.map(({ name }) => name);
    const format = recogniseFormat(names);
    if (format === undefined) {
      throw new SlipError(
        'unsupported',
        `${source} is not a model that is known here; its ${names.length} tensors begin with ${names.slice(0, 3).join(', ') || 'none'}`,
      );
    }
    const map = KEY_MAPS[format];
    const { tensors, left } = toOurs(source, map, stored);
    const model = describeModel(source, tensors, {
      ...(await configHints(source, format)),
      ...given(opened.hints),
      ...given(hints),
    });
    return {
      ...opened.facts,
      path: source,
      container: opened.container,
      format,
      tensors: inStateDictOrder(tensors, model),
      ...(opened.moments === undefined ? {} : { moments: opened.moments }),
      model,
      notes: [...opened.notes, ...leftNotes(left)],
      close: opened.close,
    };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** Data-parallel training of a timm or CLIP model prefixes all names; the original's own form is known with its prefix. */
function withoutWrapper(tensors: readonly StoredTensor[]): readonly StoredTensor[] {
  const wrapped = tensors.every(({ name }) => name.startsWith('module.'));
  if (!wrapped || recogniseFormat(tensors.map(({ name }) => name)) !== undefined) return tensors;
  return tensors.map((tensor) => renamed(tensor, tensor.name.slice('module.'.length)));
}

/** One sentence per reason. */
function leftNotes(left: readonly { readonly name: string; readonly why: string }[]): string[] {
  return [...new Set(left.map(({ why }) => why))].map((reason) => {
    const names = left.filter(({ why }) => why === reason).map(({ name }) => name);
    return `left out ${names.join(', ')}: ${reason}`;
  });
}

export interface OpenContainer extends TensorsOnDisk {
  readonly container: Weights['container'];
  readonly facts: TrainingFacts;
  readonly hints: ModelHints;
  readonly notes: readonly string[];
}

/** Tensors under the names that they have in the file. */
export async function openContainer(source: string): Promise<OpenContainer> {
  const status = await stat(source).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new SlipError('checkpoint', `there is no ${source}`, { cause: error });
    throw new SlipError('checkpoint', `cannot open ${source}: ${error.message}`, { cause: error });
  });
  if (status.isDirectory()) return openFolder(source);
  if (source.endsWith('.safetensors')) {
    return { ...(await openSafetensors(source)), container: 'safetensors', facts: {}, hints: {}, notes: [] };
  }
  return openTorch(source);
}

/** A checkpoint of ours, or a folder as Hugging Face and open_clip hand them out. */
async function openFolder(folder: string): Promise<OpenContainer> {
  const inside = [
    'model.safetensors',
    'open_clip_model.safetensors',
    'pytorch_model.bin',
    'open_clip_pytorch_model.bin',
  ];
  if (!(await exists(path.join(folder, 'manifest.json')))) {
    for (const name of inside) {
      if (await exists(path.join(folder, name))) return openContainer(path.join(folder, name));
    }
  }
  return { ...(await openOwnCheckpoint(folder)), container: 'checkpoint' };
}

async function exists(file: string): Promise<boolean> {
  return (await stat(file).catch(() => undefined)) !== undefined;
}

async function openTorch(source: string): Promise<OpenContainer> {
  const torch = await openTorchFile(source);
  try {
    const { tensors, moments, step } = await readTrainingState(torch);
    const root = torch.root instanceof Map ? torch.root : new Map<PickleValue, PickleValue>();
    const args = root.get('args');
    const plain = args instanceof Namespace || args instanceof Map ? plainArgs(args) : undefined;
    const unknown = torch.script ? [] : torch.unknownNames;
    return {
      container: torch.script ? 'torchscript' : 'torch',
      tensors,
      ...(moments === undefined ? {} : { moments }),
      facts: {
        ...numberFact('epoch', root.get('epoch')),
        ...(step === undefined ? {} : { step }),
        ...numberFact('bestAcc1', root.get('best_acc1')),
        ...(plain === undefined ? {} : { args: plain, ...rowsPerMicroBatch(plain) }),
      },
      hints: typeof plain?.model === 'string' ? { name: plain.model } : {},
      notes:
        unknown.length > 0 ? [`its pickle names ${unknown.join(', ')}; ignored here, but Python would call it`] : [],
      close: () => torch.close(),
    };
  } catch (error) {
    await torch.close();
    throw error;
  }
}

/** The original's batch size is that of one rank. */
function rowsPerMicroBatch(args: Readonly<Record<string, unknown>>): Pick<TrainingFacts, 'globalBatch'> {
  const [rows, ranks] = [args.batch_size, args.world_size ?? 1];
  if (!Number.isSafeInteger(rows) || !Number.isSafeInteger(ranks)) return {};
  return { globalBatch: Number(rows) * Math.max(1, Number(ranks)) };
}

function numberFact(name: 'epoch' | 'bestAcc1', value: PickleValue | undefined): TrainingFacts {
  return typeof value === 'number' && Number.isFinite(value) ? { [name]: value } : {};
}

/** Without the members that are undefined, which would hide what the file says. */
function given(hints: ModelHints): ModelHints {
  return Object.fromEntries(Object.entries(hints).filter(([, value]) => value !== undefined));
}
