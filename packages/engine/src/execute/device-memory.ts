// Named tensors that stay in a device's memory between steps, and their way there and back; not what computes on them.
import { SlipError } from '@slip/core';
import { ONNX_TYPES } from '../kernels/elementwise.js';
import { encodeModel, type ValueInfoProto } from '../onnx/model-proto.js';
import { sizeOf } from '../tensor-type.js';
import * as ort from './onnx-runtime.js';

/** A float32 tensor by name, with the host's memory for it. */
export interface HostTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Tensors on a device. Executors that are given it read them, and put in what they are told to keep. */
export interface DeviceMemory {
  has(name: string): boolean;
  /** Copies to the device, in place of what had these names. */
  upload(tensors: readonly HostTensor[]): Promise<void>;
  /** Copies from the device. @throws SlipError `internal` for a name that is not there */
  download(tensors: readonly HostTensor[]): Promise<void>;
  /** Without a copy; what had the new name is given back. @throws SlipError `internal` for a name that is not there */
  rename(from: string, to: string): void;
  /** Gives the memory of these back; names that are not there are passed over. */
  free(names: Iterable<string>): void;
  close(): Promise<void>;
}

/** At most so much is on its way at a time, beside what is there already. */
const CHUNK_BYTES = 128 << 20;

/** Memory of an ONNX Runtime provider that can keep buffers: webgpu. */
export class OrtDeviceMemory implements DeviceMemory {
  readonly #tensors = new Map<string, ort.Tensor>();
  readonly #provider: string;
  /** Copies between the host and the device, by shapes. */
  readonly #copies = new Map<string, ort.InferenceSession>();
  readonly #owners: ort.InferenceSession[] = [];

  constructor(provider: string) {
    this.#provider = provider;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** The tensor itself, valid until its name is replaced or freed. @throws SlipError `internal` for an unknown name */
  tensor(name: string): ort.Tensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw new SlipError('internal', `'${name}' is not in the memory of the device`);
    return tensor;
  }

  /** Takes a tensor over; what had its name before is given back. */
  keep(name: string, tensor: ort.Tensor): void {
    this.#tensors.get(name)?.dispose();
    this.#tensors.set(name, tensor);
  }

  /**
   * Takes over a session that made tensors of this memory: it is released after them. ONNX Runtime 1.30 aborts the process when a
   * tensor on a device is used after the session that made it.
   */
  own(session: ort.InferenceSession): void {
    this.#owners.push(session);
  }

  async upload(tensors: readonly HostTensor[]): Promise<void> {
    for (const chunk of chunksOf(tensors)) {
      const feeds = chunk.map(({ shape, values }) => new ort.Tensor('float32', values, [...shape]));
      const results = await this.#copy(chunk, feeds, 'gpu-buffer');
      for (const [i, { name }] of chunk.entries()) this.keep(name, results[i]!);
    }
  }

  /** A tensor's own way to the host aborts the process in ONNX Runtime 1.30: everything goes through a small graph. */
  async download(tensors: readonly HostTensor[]): Promise<void> {
    for (const chunk of chunksOf(tensors)) {
      const results = await this.#copy(
        chunk,
        chunk.map(({ name }) => this.tensor(name)),
        'cpu',
      );
      for (const [i, { values }] of chunk.entries()) values.set(results[i]!.data as Float32Array);
    }
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
    for (const session of [...this.#copies.values(), ...this.#owners.splice(0)]) await session.release();
    this.#copies.clear();
  }

  async #copy(specs: readonly HostTensor[], from: readonly ort.Tensor[], to: 'cpu' | 'gpu-buffer') {
    const key = `${to} ${specs.map(({ shape }) => shape.join('x')).join()}`;
    const session = this.#copies.get(key) ?? (await this.#createCopy(specs, to));
    this.#copies.set(key, session);
    const results = await session.run(Object.fromEntries(from.map((tensor, i) => [`x${i}`, tensor])));
    return specs.map((_, i) => results[`y${i}`]!);
  }

  #createCopy(specs: readonly HostTensor[], to: 'cpu' | 'gpu-buffer'): Promise<ort.InferenceSession> {
    return ort.InferenceSession.create(copyModel(specs), {
      executionProviders: [this.#provider],
      preferredOutputLocation: Object.fromEntries(specs.map((_, i) => [`y${i}`, to])),
      graphOptimizationLevel: 'disabled',
      logSeverityLevel: 3,
    });
  }
}

function* chunksOf(tensors: readonly HostTensor[]): Generator<HostTensor[]> {
  let chunk: HostTensor[] = [];
  let bytes = 0;
  for (const tensor of tensors) {
    chunk.push(tensor);
    bytes += sizeOf(tensor.shape) * Float32Array.BYTES_PER_ELEMENT;
    if (bytes < CHUNK_BYTES) continue;
    yield chunk;
    [chunk, bytes] = [[], 0];
  }
  if (chunk.length > 0) yield chunk;
}

/** `y = x` for each tensor. */
function copyModel(specs: readonly HostTensor[]): Uint8Array {
  const info = (name: string, { shape }: HostTensor): ValueInfoProto => ({
    name,
    type: {
      tensorType: { elemType: ONNX_TYPES.float32, shape: { dim: shape.map((dimValue) => ({ dimValue })) } },
    },
  });
  return encodeModel({
    name: 'copy',
    node: specs.map((_, i) => ({
      ...{ name: `copy${i}`, opType: 'Identity', domain: '', attribute: [] },
      ...{ input: [`x${i}`], output: [`y${i}`] },
    })),
    initializer: [],
    valueInfo: [],
    input: specs.map((spec, i) => info(`x${i}`, spec)),
    output: specs.map((spec, i) => info(`y${i}`, spec)),
  });
}
