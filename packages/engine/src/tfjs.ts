// The one place where TensorFlow.js is loaded, when something of it is first used; not a wrapper around it.
//
// A step that is in the graph cache needs nothing of it, and loading it is about a quarter of a worker's start. The whole package is loaded,
// because `@tensorflow/tfjs-core` alone registers no gradients under Node, and by `require`: as an ES module it is read a second time
// to find the names it exports.
import { createRequire } from 'node:module';
import type * as tfjs from '@tensorflow/tfjs';

let loaded: typeof tfjs | undefined;
const whenLoaded: (() => void)[] = [];

/** The package's namespace; reading a member loads it. */
export const tf: typeof tfjs = new Proxy({} as typeof tfjs, { get: (_, name) => Reflect.get(load(), name) });

/** Its types under the same name, as they are in the package. */
export declare namespace tf {
  type DataStorage<T> = tfjs.DataStorage<T>;
  type DataType = tfjs.DataType;
  type GradSaveFunc = tfjs.GradSaveFunc;
  type KernelBackend = tfjs.KernelBackend;
  type KernelConfig = tfjs.KernelConfig;
  type NamedAttrMap = tfjs.NamedAttrMap;
  type NamedTensorInfoMap = tfjs.NamedTensorInfoMap;
  type Tensor<R extends tfjs.Rank = tfjs.Rank> = tfjs.Tensor<R>;
  type Tensor1D = tfjs.Tensor1D;
  type Tensor4D = tfjs.Tensor4D;
  type TensorInfo = tfjs.TensorInfo;
  namespace backend_util {
    type BackendValues = tfjs.backend_util.BackendValues;
  }
}

/** Calls `action` when tfjs is loaded, at once where it is: for what is registered with it. */
export function onTfjsLoaded(action: () => void): void {
  if (loaded === undefined) whenLoaded.push(action);
  else action();
}

function load(): typeof tfjs {
  if (loaded !== undefined) return loaded;
  loaded = createRequire(import.meta.url)('@tensorflow/tfjs') as typeof tfjs;
  useCpuBackend();
  skipInstallationBanner();
  for (const action of whenLoaded.splice(0)) action();
  return loaded;
}

/** Chosen at once: tfjs' own lazy choice would construct the backend a second time. */
function useCpuBackend(): void {
  if (tf.getBackend() === undefined) void tf.setBackend('cpu');
}

/**
 * The CPU backend prints an advertisement for tfjs-node at its first write when it sees Node. One write with that sight
 * covered spends the banner; every later warning of tfjs is still printed.
 */
function skipInstallationBanner(): void {
  const environment = tf.env();
  const seesNode = environment.get('IS_NODE');
  environment.set('IS_NODE', false);
  const backend = tf.findBackend('cpu');
  backend.disposeData(backend.write(new Float32Array(1), [1], 'float32'), true);
  environment.set('IS_NODE', seesNode);
}
