// A folder for transformers' `CLIPModel.from_pretrained`, for models with CLIP's own tower. Others are refused: their
// VisionTextDualEncoderModel could hold the tower as a DINOv2, but it calls a CLIP text tower with arguments that this does
// not take.
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { writeSafetensors } from '@slip/checkpoint';
import { checkFreeSpace, SlipError, syncFolder, writeFileAtomic } from '@slip/core';
import { toTheirs } from '../maps/apply-map.js';
import { KEY_MAPS } from '../maps/key-rules.js';
import { widened } from '../maps/rearrange.js';
import type { ModelDescription, VisionTransformerDescription } from '../model-description.js';
import type { Weights } from '../open-weights.js';

/**
 * @returns what was left out
 * @throws SlipError `unsupported` when CLIPModel does not compute what the model computes, with the reason
 */
export async function writeHuggingFace(
  folder: string,
  weights: Weights,
): Promise<{ bytes: number; left: readonly string[] }> {
  const vision = fittingTower(weights);
  const { tensors, left } = toTheirs(KEY_MAPS['hugging-face-clip'], weights.tensors.map(widened));
  await checkFreeSpace(
    folder,
    tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
  );
  const temporary = `${folder}.tmp-${process.pid}`;
  try {
    await mkdir(temporary);
    const { sizeBytes } = await writeSafetensors(path.join(temporary, 'model.safetensors'), tensors, { format: 'pt' });
    await writeFileAtomic(
      path.join(temporary, 'config.json'),
      `${JSON.stringify(clipConfig(weights.model, vision), null, 2)}\n`,
    );
    await rename(temporary, folder);
    await syncFolder(path.dirname(path.resolve(folder)));
    return { bytes: sizeBytes, left: left.map(({ name }) => name) };
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if (error instanceof SlipError) throw error;
    throw new SlipError('checkpoint', `cannot write ${folder}: ${(error as Error).message}`, { cause: error });
  }
}

function fittingTower({ path: source, model }: Weights): VisionTransformerDescription {
  const refuse = (why: string): SlipError =>
    new SlipError('unsupported', `Hugging Face's CLIPModel cannot hold ${source}: ${why}`);
  const { vision, text, embedDim } = model;
  if (text === undefined || embedDim === undefined) throw refuse('it has no text tower');
  if (vision.kind !== 'vit') throw refuse('its vision tower is always a transformer, and that of this model a ResNet');
  if (!vision.preNorm) {
    throw refuse(
      'its vision tower always has a norm before the first block, which this model does not have, so it would compute ' +
        'something else; take open_clip or timm',
    );
  }
  if (vision.patchBias) throw refuse('its patch embedding has no bias, that of this model has');
  if (vision.heads === undefined) throw refuse('nothing tells the heads of the vision tower; give --vision-heads');
  if (text.heads === undefined) throw refuse('nothing tells the heads of the text tower; give --text-heads');
  return vision;
}

function textConfig({ text, embedDim }: ModelDescription): object {
  const { width, depth, heads, vocabSize, contextLength, activation } = text!;
  return {
    model_type: 'clip_text_model',
    hidden_size: width,
    intermediate_size: 4 * width,
    num_hidden_layers: depth,
    num_attention_heads: heads,
    max_position_embeddings: contextLength,
    vocab_size: vocabSize,
    hidden_act: activation,
    layer_norm_eps: 1e-5,
    projection_dim: embedDim,
    bos_token_id: vocabSize - 2,
    // With 2 the feature is that of the largest token id, as here; with any other number, that of this id.
    eos_token_id: 2,
  };
}

function visionConfig(vision: VisionTransformerDescription, embedDim: number | undefined): object {
  const { width, depth, heads, patchSize, imageSize, activation, normEps } = vision;
  return {
    model_type: 'clip_vision_model',
    hidden_size: width,
    intermediate_size: 4 * width,
    projection_dim: embedDim,
    num_hidden_layers: depth,
    num_attention_heads: heads,
    image_size: imageSize,
    patch_size: patchSize,
    hidden_act: activation,
    layer_norm_eps: normEps,
  };
}

function clipConfig(model: ModelDescription, vision: VisionTransformerDescription): object {
  return {
    architectures: ['CLIPModel'],
    model_type: 'clip',
    projection_dim: model.embedDim,
    text_config: textConfig(model),
    vision_config: visionConfig(vision, model.embedDim),
  };
}
