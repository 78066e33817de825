// Evaluation steps: images or texts to features, no gradients. Features are not normalised.
import { type StepDefinition, type TensorSpec, tf } from '@slip/engine';
import type { ModelConfig } from './models.js';
import { parametersOf } from './parameters.js';
import { stateLayout } from './state-layout.js';
import { stepIdentity } from './step-identity.js';
import { textFeatures, textLengths } from './towers/text-transformer.js';
import { imageEmbedding, visionFeatures } from './towers/vision-tower.js';
import { parameterInputs } from './train-step.js';

/**
 * `encode_image`: inputs `param/<name>`, `frozen/<name>` for the running statistics of a tower that has them, and `image` [B, 3, S, S]; output `features` [B, embedDim], or [B, width], the bare
 * tower feature, where the model has no image projection (SIMCLR).
 */
export function imageFeatureStep(model: ModelConfig, { batchSize }: { batchSize: number }): StepDefinition {
  const { imageSize } = model.vision;
  return {
    name: `encode images ${model.name}`,
    identity: stepIdentity(model),
    inputs: [
      ...inputsOf(model, (name) => name.startsWith('visual.') || name === 'image_projection'),
      ...runningStatistics(model),
      { name: 'image', shape: [batchSize, 3, imageSize, imageSize], dtype: 'float32' },
    ],
    fn(inputs) {
      const params = parametersOf(inputs, 'param/');
      const running = parametersOf(inputs, 'frozen/').in('visual');
      const features = visionFeatures(inputs.image, params, model.vision, { running });
      return { features: model.text === undefined ? features : imageEmbedding(features, params, model.vision) };
    },
  };
}

/**
 * `encode_text`: inputs `param/<name>` and `tokens` [B, L], which may be cut behind the last end of a text; output `features`
 * [B, embedDim]. Not for SIMCLR.
 */
export function textFeatureStep(
  model: ModelConfig,
  { batchSize, textLength }: { batchSize: number; textLength?: number },
): StepDefinition {
  const text = model.text!;
  return {
    name: `encode texts ${model.name}`,
    identity: stepIdentity(model),
    inputs: [
      ...inputsOf(model, (name) =>
        /^(positional_embedding|text_projection|transformer\.|token_embedding|ln_final)/.test(name),
      ),
      { name: 'tokens', shape: [batchSize, textLength ?? text.contextLength], dtype: 'int32' },
    ],
    fn(inputs) {
      const params = parametersOf(inputs, 'param/');
      return { features: tf.matMul(textFeatures(inputs.tokens, params, text), params.get('text_projection')) };
    },
    lengths: {
      allowed: textLengths(text),
      at: (length) => textFeatureStep(model, { batchSize, textLength: length }),
    },
  };
}

function runningStatistics(model: ModelConfig): TensorSpec[] {
  return stateLayout(model)
    .entries.filter(({ name, kind, dtype }) => kind === 'buffer' && dtype === 'float32' && name.startsWith('visual.'))
    .map(({ name, shape }) => ({ name: `frozen/${name}`, shape, dtype: 'float32' }));
}

function inputsOf(model: ModelConfig, wanted: (name: string) => boolean) {
  return parameterInputs(model).filter(({ name }) => wanted(name.slice('param/'.length)));
}
