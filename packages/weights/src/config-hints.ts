// What other programs keep in a configuration beside the weights, because tensors do not tell it: heads, activations and
// the epsilon of norms. Without such a file, what OpenAI's CLIP has.
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipError } from '@slip/core';
import type { Activation } from '@slip/model/architecture';
import type { WeightsFormat } from './maps/key-rules.js';
import type { ModelHints } from './model-description.js';

type Fields = Readonly<Record<string, unknown>>;

const OPENAI: ModelHints = { activation: 'quick_gelu', textActivation: 'quick_gelu', normEps: 1e-5 };

/** @throws SlipError `checkpoint` for a file that is not JSON, `unsupported` for an activation that no model here has */
export async function configHints(source: string, format: WeightsFormat): Promise<ModelHints> {
  switch (format) {
    case 'openai-clip': {
      const config = await readBeside(source, 'open_clip_config.json');
      return config === undefined ? OPENAI : openClipTowers(fields(config.model_cfg));
    }
    case 'open-clip-timm': {
      const config = await readBeside(source, 'open_clip_config.json');
      return config === undefined ? {} : openClipText(fields(config.model_cfg));
    }
    case 'hugging-face-clip': {
      const config = await readBeside(source, 'config.json');
      return config === undefined ? OPENAI : huggingFace(source, config);
    }
    default:
      return {};
  }
}

function huggingFace(source: string, config: Fields): ModelHints {
  const [vision, text] = [fields(config.vision_config), fields(config.text_config)];
  const textEps = text.layer_norm_eps ?? 1e-5;
  if (textEps !== 1e-5) {
    throw new SlipError(
      'unsupported',
      `${source}: layer_norm_eps of the text tower is ${textEps}; text towers here have 1e-5`,
    );
  }
  return {
    activation: activationOf(source, vision.hidden_act),
    textActivation: activationOf(source, text.hidden_act),
    visionHeads: count(vision.num_attention_heads ?? 12),
    textHeads: count(text.num_attention_heads ?? 8),
    normEps: typeof vision.layer_norm_eps === 'number' ? vision.layer_norm_eps : 1e-5,
  };
}

function activationOf(source: string, name: unknown): Activation {
  if (name === undefined || name === 'quick_gelu') return 'quick_gelu';
  if (name === 'gelu') return 'gelu';
  throw new SlipError(
    'unsupported',
    `${source}: hidden_act is ${JSON.stringify(name)}; gelu and quick_gelu can be read`,
  );
}

/** open_clip's own towers: both have the activation of the model, the vision tower 64 features a head unless said. */
function openClipTowers(model: Fields): ModelHints {
  const vision = fields(model.vision_cfg);
  const headWidth = count(vision.head_width) ?? 64;
  const width = count(vision.width);
  return {
    ...openClipText(model),
    activation: model.quick_gelu === true ? 'quick_gelu' : 'gelu',
    visionHeads: width === undefined ? undefined : width / headWidth,
    normEps: 1e-5,
  };
}

function openClipText(model: Fields): ModelHints {
  return {
    textActivation: model.quick_gelu === true ? 'quick_gelu' : 'gelu',
    textHeads: count(fields(model.text_cfg).heads),
  };
}

function count(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : undefined;
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

async function readBeside(source: string, name: string): Promise<Fields | undefined> {
  const folder = (await stat(source)).isDirectory() ? source : path.dirname(source);
  const file = path.join(folder, name);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return fields(JSON.parse(text));
  } catch (error) {
    throw new SlipError('checkpoint', `${file} is not JSON`, { cause: error });
  }
}
