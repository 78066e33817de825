// A tfjs backend whose kernels compute nothing and record a graph; results of constants alone are computed at once.
import { invariant, SlipError } from '@slip/core';
import { KERNELS } from '../kernels/table.js';
import { type DType, sizeOf, type TensorType, type TypedArray } from '../tensor-type.js';
import { tf } from '../tfjs.js';
import { constantArray, type GraphBuilder, isConstant, type Value } from './graph.js';

export const TRACE_BACKEND = 'slip-trace';

/** Up to this many elements constants are folded while tracing; larger ones are left to ONNX Runtime. */
const MAX_FOLDED_SIZE = 65_536;

const RANDOM_OPS = new Set(
  ['rand', 'randomGamma', 'randomNormal', 'randomStandardNormal', 'randomUniform', 'randomUniformInt'].concat(
    'truncatedNormal',
    'multinomial',
    'dropout',
  ),
);

/** What to do where a kernel is left out on purpose. */
const INSTEAD = new Map([
  ['UnsortedSegmentSum', "it is the gradient of tf.gather; look rows up with the engine's embedding()"],
  ['FloorDiv', 'it is the division of two int32 tensors; cast one to float32'],
]);

interface Recording {
  readonly stepName: string;
  readonly builder: GraphBuilder;
  /** A refusal that could not be thrown where it happened (an asynchronous read). */
  failure?: SlipError;
}

export class TraceBackend extends tf.KernelBackend {
  readonly #values = new tf.DataStorage<Value>(this, tf.engine());
  #recording: Recording | undefined;

  /** Records what `fn` calls into `builder`. @throws SlipError `unsupported` when `fn` did what a trace cannot hold */
  record<T>(stepName: string, builder: GraphBuilder, fn: () => T): T {
    invariant(this.#recording === undefined, 'steps are traced one at a time');
    const recording: Recording = { stepName, builder };
    this.#recording = recording;
    try {
      const result = fn();
      if (recording.failure !== undefined) throw recording.failure;
      return result;
    } finally {
      this.#recording = undefined;
    }
  }

  /** Makes a value visible to tfjs as a tensor. */
  tensorInfo(value: Value): tf.TensorInfo {
    const dataId = {};
    this.#values.set(dataId, value);
    return { dataId, shape: [...value.shape], dtype: value.dtype };
  }

  value(info: tf.TensorInfo): Value {
    const value = this.#values.get(info.dataId);
    // tfjs may give the same data another shape without a kernel call.
    invariant(sizeOf(value.shape) === sizeOf(info.shape), 'a tensor has the shape of its value');
    return value;
  }

  call(kernelName: string, inputs: tf.NamedTensorInfoMap, attrs: tf.NamedAttrMap): tf.TensorInfo | tf.TensorInfo[] {
    if (RANDOM_OPS.has(kernelName.charAt(0).toLowerCase() + kernelName.slice(1))) throw this.#refuseRandom(kernelName);
    if (kernelName === 'Identity') return this.tensorInfo(this.value(inputs.x!));
    const { builder, stepName } = this.#requireRecording(kernelName);
    if (kernelName === 'ZerosLike' || kernelName === 'OnesLike') {
      const like = this.value(inputs.x!);
      return this.tensorInfo(builder.fill(like, kernelName === 'OnesLike' ? 1 : 0));
    }
    if (kernelName === 'Fill' && typeof attrs.value === 'number') {
      const dtype = (attrs.dtype ?? 'float32') as DType;
      return this.tensorInfo(builder.fill({ shape: attrs.shape as number[], dtype }, attrs.value));
    }
    const operands = this.#operands(kernelName, inputs);
    const folded = this.#fold(kernelName, inputs, operands, attrs);
    if (folded !== undefined) return folded;
    if (!KERNELS.has(kernelName)) {
      throw new SlipError(
        'unsupported',
        `step '${stepName}' uses the tfjs kernel '${kernelName}', which cannot be traced; ` +
          (INSTEAD.get(kernelName) ??
            "use other ops, or add an entry for it to the table in the engine's kernels folder"),
        { details: { kernel: kernelName } },
      );
    }
    const results = builder.node(kernelName, operands, attrs).map((value) => this.tensorInfo(value));
    // tfjs tells kernels of one result from those of several by the array.
    return results.length === 1 && !RETURNS_LIST.has(kernelName) ? results[0]! : results;
  }

  override write(values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): object {
    this.#refuseRandomOps();
    const dataId = {};
    this.move(dataId, values, shape, dtype);
    return dataId;
  }

  override move(dataId: object, values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): void {
    const type = { shape, dtype: dtype as DType };
    const { builder } = this.#requireRecording('a constant tensor');
    this.#values.set(dataId, constantValue(builder, type, values as TypedArray));
  }

  override readSync(dataId: object): TypedArray {
    const value = this.#values.get(dataId);
    if (!isConstant(value)) throw this.#refuseReading(value, 'dataSync() or arraySync()');
    return constantArray(value);
  }

  override read(dataId: object): Promise<tf.backend_util.BackendValues> {
    const value = this.#values.get(dataId);
    if (isConstant(value)) return Promise.resolve(constantArray(value));
    // Throwing would only reject a promise that nobody looks at: the trace fails when the step returns.
    if (this.#recording !== undefined) this.#recording.failure ??= this.#refuseReading(value, 'data() or array()');
    return new Promise(() => {});
  }

  override disposeData(dataId: object): boolean {
    return this.#values.delete(dataId);
  }

  override numDataIds(): number {
    return this.#values.numDataIds();
  }

  override incRef(): void {}

  override refCount(): number {
    return 1;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  #requireRecording(what: string): Recording {
    if (this.#recording === undefined) {
      throw new SlipError('internal', `${what} was used on the tracing backend outside of a trace`);
    }
    return this.#recording;
  }

  #operands(kernelName: string, inputs: tf.NamedTensorInfoMap): Value[] {
    const names = KERNELS.get(kernelName)?.inputs ?? 'list';
    const infos = names === 'list' ? Object.values(inputs) : names.map((name) => inputs[name]);
    return infos.flatMap((info) => (info === undefined || info === null ? [] : [this.value(info)]));
  }

  /** Runs a kernel whose inputs are all constant on the CPU backend. */
  #fold(
    kernelName: string,
    inputs: tf.NamedTensorInfoMap,
    operands: readonly Value[],
    attrs: tf.NamedAttrMap,
  ): tf.TensorInfo | tf.TensorInfo[] | undefined {
    const kernel = tf.getKernel(kernelName, 'cpu') as tf.KernelConfig | undefined;
    if (kernel === undefined || !operands.every(isConstant)) return undefined;
    const outputs = KERNELS.get(kernelName)?.infer(operands, attrs) ?? [];
    if ([...operands, ...outputs].some(({ shape }) => sizeOf(shape) > MAX_FOLDED_SIZE)) return undefined;
    const cpu = tf.findBackend('cpu');
    const used: object[] = [];
    const constants = Object.entries(inputs).map(([name, info]) => {
      if (info === undefined || info === null) return [name, info];
      const dataId = cpu.write(constantArray(this.value(info)), info.shape, info.dtype);
      used.push(dataId);
      return [name, { ...info, dataId }];
    });
    const copied: tf.NamedTensorInfoMap = Object.fromEntries(constants);
    const results = kernel.kernelFunc({
      inputs: Array.isArray(inputs) ? (Object.values(copied) as unknown as tf.NamedTensorInfoMap) : copied,
      attrs,
      backend: cpu,
    });
    const { builder } = this.#requireRecording(kernelName);
    const adopt = ({ dataId, shape, dtype }: tf.TensorInfo) => {
      used.push(dataId);
      const type = { shape, dtype: dtype as DType };
      return this.tensorInfo(constantValue(builder, type, cpu.readSync(dataId) as TypedArray));
    };
    const adopted = Array.isArray(results) ? results.map(adopt) : adopt(results);
    for (const dataId of new Set(used)) cpu.disposeData(dataId, true);
    return adopted;
  }

  #refuseReading(value: Value, how: string): SlipError {
    return new SlipError(
      'unsupported',
      `step '${this.#recording?.stepName}' reads the value of a [${value.shape}] tensor with ${how}, but while it is ` +
        'traced tensors have no values; compute with tensor ops (tf.where, tf.mul) or return the tensor as an output',
    );
  }

  /** Random ops draw in JavaScript and write the numbers: only their scope tells them from constants. */
  #refuseRandomOps(): void {
    for (const { name } of tf.engine().state.scopeStack) {
      const op = name.replace(/__op$/, '');
      if (RANDOM_OPS.has(op)) throw this.#refuseRandom(op);
    }
  }

  #refuseRandom(op: string): SlipError {
    return new SlipError(
      'unsupported',
      `step '${this.#recording?.stepName}' draws random numbers (${op}), which would be frozen by tracing; draw them ` +
        'outside and give them to the step as an input',
    );
  }
}

/** The backend, registered with every kernel name that tfjs' CPU backend or our table knows. */
export const traceBackend = new TraceBackend();

/** Kernels whose result is a list even when it has one element. */
const RETURNS_LIST = new Set(['SplitV', 'Unpack']);

// Priority 0: never tfjs' default choice.
tf.registerBackend(TRACE_BACKEND, () => traceBackend, 0);
const kernelNames = new Set([...KERNELS.keys(), ...tf.getKernelsForBackend('cpu').map(({ kernelName }) => kernelName)]);
for (const kernelName of kernelNames) {
  tf.registerKernel({
    kernelName,
    backendName: TRACE_BACKEND,
    kernelFunc: ({ inputs, attrs }) => traceBackend.call(kernelName, inputs, attrs ?? {}),
  });
}

function constantValue(builder: GraphBuilder, type: TensorType, values: TypedArray): Value {
  const [first] = values;
  if (first !== undefined && values.every((value) => value === first)) return builder.fill(type, first);
  if (type.dtype === 'float32') return builder.constant(type, Float32Array.from(values));
  return builder.constant(type, type.dtype === 'int32' ? Int32Array.from(values) : Uint8Array.from(values));
}
