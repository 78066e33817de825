// What a checkpoint of a run weighs, before there is one. Pure.
import { countParameters, finetuneLayout } from '@slip/model/architecture';
import { finetuneSizes } from './finetune-config.js';
import { modelOf } from './run-config.js';
import type { AnyConfig } from './tasks.js';

/** Parameters of ViT-B/16: the weights are not opened for this. */
const USUAL_TOWER = 85_798_656;
const USUAL_CLASSES = 1000;

/** Parameters and what the optimizer keeps of each, in float32; a guess for linear probing. */
export function checkpointBytes(config: AnyConfig): number {
  switch (config.task) {
    case undefined:
      return countParameters(modelOf(config)) * 12;
    case 'linear':
      return USUAL_TOWER * 4;
    case 'finetune': {
      const { inputSize: imageSize, ...sizes } = finetuneSizes(config);
      const plain = { preNorm: false, patchBias: true, activation: 'gelu', normEps: 1e-6 } as const;
      const layout = finetuneLayout(
        {
          vision: { kind: 'vit', imageSize, ...sizes, ...plain },
          numClasses: config.nbClasses || USUAL_CLASSES,
          pooling: config.useCls ? 'cls' : 'mean',
          absolutePositions: config.absPosEmb,
          relativePositions: !config.disableRelPosBias,
          layerScale: config.layerScaleInitValue,
        },
        { layerDecay: 1, decayRelativePositions: true, initScale: 1 },
      );
      return layout.parameterCount * (config.modelEma ? 16 : 12);
    }
    default:
      return config satisfies never;
  }
}
