// The tensorflow device: steps run kernel by kernel on TensorFlow's C library through its addon for Node, which is loaded only here and
// only on request. One rank: ranks that talk need a compiled step.
import { createRequire } from 'node:module';
import path from 'node:path';
import util from 'node:util';
import { invariant, SlipError } from '@slip/core';
import type { DeviceMemory, HostTensor } from '../execute/device-memory.js';
import { createEagerExecutor } from '../execute/eager-executor.js';
import { tf } from '../tfjs.js';
import type { Device, DeviceOptions } from './device.js';
import { registerTensorFlowKernels } from './tensorflow-kernels.js';

export const TENSORFLOW_BACKEND = 'tensorflow';

/** @throws SlipError `unsupported` when the addon cannot be loaded */
export function openTensorFlow({ tensorflowFolder }: DeviceOptions): Device {
  if (tf.findBackend(TENSORFLOW_BACKEND) === null) load(tensorflowFolder);
  return {
    kind: 'tensorflow',
    keepsTensors: true,
    openMemory: () => new TensorFlowMemory(),
    createExecutor: (step, { memory, kept, worldSize, inputs, outputs }) => {
      if (worldSize > 1) {
        throw new SlipError(
          'unsupported',
          `--device tensorflow runs one worker, and this run has ${worldSize}; start more with --device cuda or webgpu`,
        );
      }
      invariant(memory === undefined || memory instanceof TensorFlowMemory, 'the memory is of this device');
      const bindings = { ...(inputs === undefined ? {} : { inputs }), ...(outputs === undefined ? {} : { outputs }) };
      const place = { backend: TENSORFLOW_BACKEND, ...(kept === undefined ? {} : { kept }) };
      return createEagerExecutor(step, bindings, memory === undefined ? place : { ...place, memory });
    },
  };
}

function load(folder: string | undefined): void {
  const previous = tf.getBackend();
  // tfjs-node 4.22 calls a function that Node 23 no longer has.
  const legacy = util as { isNullOrUndefined?: (value: unknown) => boolean };
  legacy.isNullOrUndefined ??= (value) => value === null || value === undefined;
  try {
    const require = createRequire(folder === undefined ? import.meta.url : path.join(folder, 'package.json'));
    require(folder ?? '@tensorflow/tfjs-node');
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    throw new SlipError('unsupported', `TensorFlow's addon for Node cannot be loaded from ${folder}: ${reason}`, {
      cause: error,
    });
  }
  if (tf.findBackend(TENSORFLOW_BACKEND) === null) {
    throw new SlipError(
      'unsupported',
      `${folder} brought a TensorFlow.js of its own; build it anew from this project: npm run build-tensorflow`,
    );
  }
  // The addon makes itself the default; tracing and evaluation on the CPU keep theirs.
  void tf.setBackend(previous);
  registerTensorFlowKernels(TENSORFLOW_BACKEND);
}

/** Tensors of the tensorflow backend by name. */
export class TensorFlowMemory implements DeviceMemory {
  readonly #tensors = new Map<string, tf.Tensor>();

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** @throws SlipError `internal` for an unknown name */
  tensor(name: string): tf.Tensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw new SlipError('internal', `'${name}' is not in the memory of the device`);
    return tensor;
  }

  keep(name: string, tensor: tf.Tensor): void {
    this.#tensors.get(name)?.dispose();
    this.#tensors.set(name, tf.keep(tensor));
  }

  async upload(tensors: readonly HostTensor[]): Promise<void> {
    const backend = tf.findBackend(TENSORFLOW_BACKEND);
    for (const { name, shape, values } of tensors) {
      const dataId = backend.write(values.slice(), [...shape], 'float32');
      this.keep(name, tf.engine().makeTensorFromDataId(dataId, [...shape], 'float32', backend));
    }
  }

  async download(tensors: readonly HostTensor[]): Promise<void> {
    for (const { name, values } of tensors) values.set(await this.tensor(name).data());
  }

  rename(from: string, to: string): void {
    const tensor = this.tensor(from);
    this.#tensors.delete(from);
    this.keep(to, tensor);
  }

  free(names: Iterable<string>): void {
    for (const name of names) {
      this.#tensors.get(name)?.dispose();
      this.#tensors.delete(name);
    }
  }

  async close(): Promise<void> {
    this.free([...this.#tensors.keys()]);
  }
}
