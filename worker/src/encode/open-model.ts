// A whole model from weights of any kind (a checkpoint folder of ours, a `.pt`, safetensors), ready to encode with.
import { SlipError } from '@slip/core';
import type { ModelConfig } from '@slip/model/architecture';
import {
  type ModelHints,
  openWeights,
  readWhole,
  requireOwnModel,
  requireTexts,
  type Weights,
  widened,
} from '@slip/weights';
import type { TensorLookup } from './encoder.js';

export interface OpenedModel {
  /** Where the weights were. */
  readonly path: string;
  readonly config: ModelConfig;
  readonly tensors: TensorLookup;
  /** The factor of cosines in the softmax; undefined for SimCLR. */
  readonly logitScale: number | undefined;
  /** Worth knowing about the file. */
  readonly notes: readonly string[];
}

/**
 * @param hints what the file does not tell, such as the number of heads
 * @throws SlipError `checkpoint` or `unsupported` naming the file; `config` where a hint is missing
 */
export async function openModel(file: string, hints: ModelHints = {}): Promise<OpenedModel> {
  const weights = await openWeights(file, hints);
  try {
    const config = requireOwnModel(file, weights.tensors, weights.model);
    requireHeads(weights);
    const values = await readParameters(weights);
    const scale = values.get('logit_scale')?.[0];
    return {
      path: file,
      config,
      tensors: (name) => {
        const found = values.get(name);
        if (found === undefined) throw new RangeError(`no parameter named ${name}`);
        return found;
      },
      logitScale: scale === undefined ? undefined : Math.exp(scale),
      notes: weights.notes,
    };
  } finally {
    await weights.close();
  }
}

/** Any number of heads loads, and only the right one computes what was trained. */
function requireHeads({ path, model: { vision, text } }: Weights): void {
  const unknown = vision.heads === undefined ? 'vision' : text !== undefined && text.heads === undefined ? 'text' : '';
  if (unknown === '') return;
  throw new SlipError(
    'config',
    `${path} does not tell how many attention heads its ${unknown} tower has; pass --${unknown}-heads`,
  );
}

/** What encoding needs: not the head of self-supervision, nor how often running statistics were updated. */
async function readParameters({ tensors }: Weights): Promise<ReadonlyMap<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const tensor of tensors) {
    if (tensor.name.startsWith('image_mlp.') || tensor.name.endsWith('.num_batches_tracked')) continue;
    const single = widened(tensor);
    if (single.dtype !== 'F32') {
      throw new SlipError('unsupported', `${tensor.name} has the type ${tensor.dtype}; float32 or halves are wanted`);
    }
    const bytes = await readWhole(single);
    values.set(
      tensor.name,
      new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer),
    );
  }
  return values;
}

/** @throws SlipError `config` for a model that knows no texts. @param what needs one */
export function requireText({ path, config }: OpenedModel, what: string): NonNullable<ModelConfig['text']> {
  requireTexts(path, config.family, what);
  return config.text!;
}
