// Towers for timm, and whole models for open_clip with a timm tower.
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { writeSafetensors } from '@slip/checkpoint';
import { SlipError, syncFolder, writeFileAtomic } from '@slip/core';
import { python } from '@slip/pickle';
import { toTheirs } from '../maps/apply-map.js';
import { KEY_MAPS } from '../maps/key-rules.js';
import type { VisionTransformerDescription } from '../model-description.js';
import type { Weights } from '../open-weights.js';
import { type WriteProgress, writeTorchFile } from '../torch/write-torch-file.js';

/** timm's models with patches of 16 pixels and pictures of 224. */
const TIMM_MODELS: readonly (readonly [name: string, width: number, depth: number, heads: number])[] = [
  ['vit_tiny_patch16_224', 192, 12, 3],
  ['vit_small_patch16_224', 384, 12, 6],
  ['vit_base_patch16_224', 768, 12, 12],
  ['vit_large_patch16_224', 1024, 24, 16],
];

/** ImageNet's, which the original normalises with. */
const MEAN = [0.485, 0.456, 0.406];
const STD = [0.229, 0.224, 0.225];

/**
 * The tower alone as a state dict: `.safetensors` by its ending, otherwise for `torch.load` with `weights_only=True`.
 * @returns a line of Python that builds the model for it, and what was left out
 * @throws SlipError `unsupported` for another tower
 */
export async function writeTimm(
  file: string,
  weights: Weights,
  onProgress?: WriteProgress,
): Promise<{ bytes: number; build: string; left: readonly string[] }> {
  const { vision } = weights.model;
  if (vision.kind !== 'vit')
    throw new SlipError('unsupported', `timm's vision transformers cannot hold ${weights.path}: its tower is a ResNet`);
  const { tensors, left } = toTheirs(KEY_MAPS.timm, weights.tensors);
  const bytes = file.endsWith('.safetensors')
    ? (await writeSafetensors(file, tensors, { format: 'pt' })).sizeBytes
    : await writeTorchFile(
        file,
        (place) => python.orderedDict(new Map(tensors.map((tensor) => [tensor.name, place(tensor)]))),
        onProgress,
      );
  return { bytes, build: timmCall(vision), left: left.map(({ name }) => name) };
}

function timmCall(vision: VisionTransformerDescription): string {
  const name = timmName(vision, false);
  const heads = vision.heads ?? '?';
  const clip =
    (vision.preNorm ? ', pre_norm=True, norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-5)' : '') +
    (vision.activation === 'quick_gelu' ? ', act_layer="quick_gelu"' : '');
  if (name !== undefined && !vision.preNorm) {
    const own = timmName(vision, true) === undefined ? `, num_heads=${heads}` : '';
    return `timm.create_model('${name}', num_classes=0${own})`;
  }
  return (
    `timm.models.vision_transformer.VisionTransformer(img_size=${vision.imageSize}, patch_size=${vision.patchSize}, ` +
    `embed_dim=${vision.width}, depth=${vision.depth}, num_heads=${heads}, num_classes=0${clip})`
  );
}

function timmName(
  { width, depth, heads, patchSize, imageSize }: VisionTransformerDescription,
  withHeads: boolean,
): string | undefined {
  if (patchSize !== 16 || imageSize !== 224) return undefined;
  return TIMM_MODELS.find(([, w, d, h]) => w === width && d === depth && (!withHeads || h === heads))?.[0];
}

/**
 * A folder for open_clip (`local-dir:` or a hub): `open_clip_config.json` and the weights.
 * @throws SlipError `unsupported` for models that open_clip's configuration cannot say, with the reason
 */
export async function writeOpenClip(
  folder: string,
  weights: Weights,
  onProgress?: WriteProgress,
): Promise<{ bytes: number; left: readonly string[] }> {
  const config = openClipConfig(weights);
  const { tensors, left } = toTheirs(KEY_MAPS['open-clip-timm'], weights.tensors);
  const temporary = `${folder}.tmp-${process.pid}`;
  try {
    await mkdir(temporary);
    const bytes = await writeTorchFile(
      path.join(temporary, 'open_clip_pytorch_model.bin'),
      (place) => python.orderedDict(new Map(tensors.map((tensor) => [tensor.name, place(tensor)]))),
      onProgress,
    );
    await writeFileAtomic(path.join(temporary, 'open_clip_config.json'), `${JSON.stringify(config, null, 2)}\n`);
    await rename(temporary, folder);
    await syncFolder(path.dirname(path.resolve(folder)));
    return { bytes, left: left.map(({ name }) => name) };
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (error instanceof SlipError) throw error;
    throw new SlipError('checkpoint', `cannot write ${folder}: ${(error as Error).message}`, { cause: error });
  }
}

function openClipConfig({ path: source, model }: Weights): object {
  const { text, vision, embedDim } = model;
  const refuse = (why: string): SlipError => new SlipError('unsupported', `open_clip cannot hold ${source}: ${why}`);
  if (text === undefined || embedDim === undefined) throw refuse('it has no text tower');
  if (vision.kind !== 'vit') throw refuse('its tower is a ResNet, which timm does not have');
  if (vision.preNorm) throw refuse('its tower is a CLIP tower already and needs no timm');
  const name = timmName(vision, true);
  if (name === undefined) {
    const same = timmName(vision, false);
    throw refuse(
      same === undefined
        ? `timm has no tower of width ${vision.width}, depth ${vision.depth}, patches of ${vision.patchSize} for pictures of ${vision.imageSize}`
        : `its tower has ${vision.heads ?? 'an unknown number of'} heads, timm's ${same} another number, and open_clip has no setting for it`,
    );
  }
  if (text.width % 64 !== 0) throw refuse(`its text tower of width ${text.width} does not have 64 features per head`);
  return {
    model_cfg: {
      embed_dim: embedDim,
      quick_gelu: true,
      vision_cfg: {
        timm_model_name: name,
        timm_model_pretrained: false,
        timm_pool: 'token',
        timm_proj: 'linear',
        image_size: vision.imageSize,
      },
      text_cfg: {
        context_length: text.contextLength,
        vocab_size: text.vocabSize,
        width: text.width,
        heads: text.width / 64,
        layers: text.depth,
      },
    },
    preprocess_cfg: { mean: MEAN, std: STD, interpolation: 'bicubic', resize_mode: 'shortest' },
  };
}
