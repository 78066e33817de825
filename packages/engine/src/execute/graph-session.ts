// A compiled model and what it is run on. On the CPU the library is called directly, because its Node binding copies what it makes; where
// that cannot be, and for other providers, by the binding. The bits are the same.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MODEL_SESSION_CONFIG } from '../onnx/lower.js';
import * as ort from './onnx-runtime.js';
import { type Handle, type OrtLibrary, ortLibrary } from './ort-library.js';

export interface GraphSessionOptions {
  readonly threads: number;
  readonly provider: 'cpu' | 'cuda';
  /** Of a CUDA device. */
  readonly gpuIndex?: number;
  readonly profilePrefix?: string;
}

export type NamedMemory = Readonly<Record<string, ort.Tensor>>;

export interface GraphSession {
  /** Why every run copies its outputs, which is slower; absent where it does not. */
  readonly copies?: string;
  /** What a run reads and writes; the memory of these tensors, not copies of it. */
  bind(feeds: NamedMemory, fetches: NamedMemory): BoundRun;
  endProfiling(): void;
  release(): Promise<void>;
}

/** Blocks the thread, after a turn of the event loop. */
export type BoundRun = () => Promise<void>;

/** @throws Error with ONNX Runtime's words */
export async function createGraphSession(model: Uint8Array, options: GraphSessionOptions): Promise<GraphSession> {
  if (options.provider !== 'cpu') return bindingSession(model, options);
  const library = ortLibrary();
  if (!('missing' in library)) return directSession(library, model, options);
  return { ...(await bindingSession(model, options)), copies: library.missing };
}

/** By onnxruntime-node. */
export async function bindingSession(
  model: Uint8Array,
  { threads, provider, gpuIndex = 0, profilePrefix }: GraphSessionOptions,
): Promise<GraphSession> {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: provider === 'cuda' ? [{ name: 'cuda', deviceId: gpuIndex }] : [provider],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // The pattern is one block planned after the first run, beside the memory of that run: twice the peak for no speed.
    enableMemPattern: false,
    extra: MODEL_SESSION_CONFIG,
    ...(profilePrefix === undefined ? {} : { enableProfiling: true, profileFilePrefix: profilePrefix }),
  });
  return {
    bind: (feeds, fetches) => async () => {
      await session.run(feeds, fetches);
    },
    endProfiling: () => session.endProfiling(),
    release: () => session.release(),
  };
}

/** With the same options; sequential execution and all optimisations are the library's defaults. */
export function directSession(
  library: OrtLibrary,
  model: Uint8Array,
  { threads, profilePrefix }: GraphSessionOptions,
): GraphSession {
  const session = withOptions(library, (options) => {
    library.setThreads(options, threads);
    library.disableMemoryPattern(options);
    for (const [group, settings] of Object.entries(MODEL_SESSION_CONFIG)) {
      for (const [key, value] of Object.entries(settings)) library.setConfig(options, `${group}.${key}`, value);
    }
    if (profilePrefix !== undefined) library.enableProfiling(options, profilePrefix);
    return library.createSession(model, options);
  });
  const tensors: Handle[] = [];
  /** What they lie in, which has to stay as long as they. */
  const kept: NamedMemory[] = [];
  const named = (memory: NamedMemory) =>
    library.named(
      new Map(
        Object.entries(memory).map(([name, { data, dims, type }]) => {
          const tensor = library.createTensor(data as ort.Tensor.DataTypeMap['float32'], dims, ONNX_NAMES[type]!);
          tensors.push(tensor);
          return [name, tensor];
        }),
      ),
    );
  return {
    bind(feeds, fetches) {
      kept.push(feeds, fetches);
      const [inputs, outputs] = [named(feeds), named(fetches)];
      return async () => {
        await nextTurn();
        library.run(session, inputs, outputs);
      };
    },
    endProfiling: () => library.endProfiling(session),
    async release() {
      for (const tensor of tensors.splice(0)) library.releaseTensor(tensor);
      kept.length = 0;
      library.releaseSession(session);
    },
  };
}

/** ONNX's TensorProto.DataType numbers by the names that ONNX Runtime's tensors have. */
const ONNX_NAMES: Readonly<Record<string, number>> = { float32: 1, int32: 6, int64: 7, bool: 9 };

function withOptions<T>(library: OrtLibrary, use: (options: Handle) => T): T {
  const options = library.createOptions();
  try {
    return use(options);
  } finally {
    library.releaseOptions(options);
  }
}
