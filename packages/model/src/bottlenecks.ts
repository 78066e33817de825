// The blocks of a modified ResNet as numbers, for its layout and its tower; pure.
import type { ResNetConfig } from './models.js';

/** The residual blocks in order, with the stride that follows their second convolution. */
export function bottlenecks({ layers, width }: Pick<ResNetConfig, 'layers' | 'width'>) {
  let inputs = width;
  return layers.flatMap((depth, stage) =>
    Array.from({ length: depth }, (_, i) => {
      const planes = width * 2 ** stage;
      const stride = i === 0 && stage > 0 ? 2 : 1;
      const block = { name: `layer${stage + 1}.${i}`, inputs, planes, stride, hasShortcut: i === 0 };
      inputs = 4 * planes;
      return block;
    }),
  );
}
