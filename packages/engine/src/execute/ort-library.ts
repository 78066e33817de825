// ONNX Runtime's C interface, called in the library that onnxruntime-node brings along. Its Node binding copies every output of a run to
// memory of its own, also where memory was given for it (docs/adr/0027-onnx-runtime-direct.md).
import './telemetry-off.js';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** An object of the library. */
export type Handle = bigint;

/** Each throws Error with the library's words. */
export interface OrtLibrary {
  createOptions(): Handle;
  setThreads(options: Handle, intraOp: number): void;
  disableMemoryPattern(options: Handle): void;
  setConfig(options: Handle, key: string, value: string): void;
  enableProfiling(options: Handle, prefix: string): void;
  releaseOptions(options: Handle): void;
  createSession(model: Uint8Array, options: Handle): Handle;
  endProfiling(session: Handle): void;
  releaseSession(session: Handle): void;
  /** A tensor in this memory, which has to stay as long as the tensor. @param type of ONNX's TensorProto.DataType */
  createTensor(data: ArrayBufferView, dims: readonly number[], type: number): Handle;
  releaseTensor(tensor: Handle): void;
  named(tensors: ReadonlyMap<string, Handle>): NamedTensors;
  /** Blocks the thread. */
  run(session: Handle, inputs: NamedTensors, outputs: NamedTensors): void;
}

/** In the memory layout of the library. */
export interface NamedTensors {
  readonly count: number;
  readonly names: BigUint64Array;
  readonly tensors: BigUint64Array;
  /** What `names` points to. */
  readonly text: Uint8Array;
}

/** Places in the library's table of functions, which only grows from version to version. */
const PLACES = {
  errorMessage: 2,
  createEnv: 3,
  createSessionFromArray: 8,
  run: 9,
  createSessionOptions: 10,
  enableProfiling: 14,
  disableMemPattern: 17,
  setIntraOpNumThreads: 24,
  createTensorWithData: 49,
  createCpuMemoryInfo: 69,
  defaultAllocator: 78,
  releaseStatus: 93,
  releaseSession: 95,
  releaseValue: 96,
  releaseSessionOptions: 100,
  sessionEndProfiling: 110,
  addSessionConfigEntry: 130,
} as const;

/** The interface is asked for as of ONNX Runtime 1.20, which every later library has. */
const API_VERSION = 20;
const LOG_WARNINGS = 2;
const DEVICE_ALLOCATOR = 0;
const DEFAULT_MEMORY = 0;

type Call = (...args: unknown[]) => bigint | number;

let loaded: OrtLibrary | { readonly missing: string } | undefined;

/** @returns the library, or why it cannot be called */
export function ortLibrary(): OrtLibrary | { readonly missing: string } {
  loaded ??= load();
  return loaded;
}

function load(): OrtLibrary | { readonly missing: string } {
  const require = createRequire(import.meta.url);
  try {
    const folder = path.dirname(require.resolve('onnxruntime-node/package.json'));
    const file = path.join(folder, 'bin/napi-v6', process.platform, process.arch, 'libonnxruntime.so.1');
    if (!existsSync(file)) return { missing: `there is no ${file}` };
    return bind(require('koffi'), file);
  } catch (error) {
    return { missing: (error as Error).message.split('\n')[0]! };
  }
}

function bind(koffi: typeof import('koffi'), file: string): OrtLibrary {
  const base = koffi.load(file).func('void *OrtGetApiBase()')();
  const [getApiAt] = new BigUint64Array(koffi.view(base, 8) as ArrayBuffer);
  const api = (koffi.decode(getApiAt!, koffi.proto('void *SlipGetApi(uint32_t version)')) as (v: number) => bigint)(
    API_VERSION,
  );
  if (!api) throw new Error(`${file} has no interface of version ${API_VERSION}`);
  const table = new BigUint64Array(koffi.view(api, 8 * (Math.max(...Object.values(PLACES)) + 1)) as ArrayBuffer);
  const at = (name: keyof typeof PLACES, result: string, ...params: readonly string[]): Call => {
    const prototype = koffi.proto(`${result} SlipOrt_${name}(${params.join(', ')})`);
    return koffi.decode(table[PLACES[name]]!, prototype) as Call;
  };
  const errorMessage = at('errorMessage', 'const char *', 'size_t');
  const releaseStatus = at('releaseStatus', 'void', 'size_t');
  const checked =
    (call: Call) =>
    (...args: unknown[]): void => {
      const status = call(...args);
      if (Number(status) === 0) return;
      const message = String(errorMessage(status));
      releaseStatus(status);
      throw new Error(message);
    };
  const status = (name: keyof typeof PLACES, ...params: readonly string[]) => checked(at(name, 'size_t', ...params));
  /** Calls that write what they make to the place of their last parameter. */
  const result = new BigUint64Array(1);
  const making =
    (call: (...args: unknown[]) => void) =>
    (...args: unknown[]): Handle => {
      call(...args, result);
      return result[0]!;
    };
  const env = making(status('createEnv', 'int', 'const char *', 'void *'))(LOG_WARNINGS, 'slip');
  const memory = making(status('createCpuMemoryInfo', 'int', 'int', 'void *'))(DEVICE_ALLOCATOR, DEFAULT_MEMORY);
  const allocator = making(status('defaultAllocator', 'void *'))();
  const createOptions = making(status('createSessionOptions', 'void *'));
  const createSession = making(status('createSessionFromArray', 'size_t', 'void *', 'size_t', 'size_t', 'void *'));
  const createTensor = making(
    status('createTensorWithData', 'size_t', 'size_t', 'size_t', 'void *', 'size_t', 'int', 'void *'),
  );
  const endProfiling = making(status('sessionEndProfiling', 'size_t', 'size_t', 'void *'));
  const setThreads = status('setIntraOpNumThreads', 'size_t', 'int');
  const run = status('run', 'size_t', 'size_t', 'void *', 'void *', 'size_t', 'void *', 'size_t', 'void *');
  return {
    createOptions,
    setThreads,
    disableMemoryPattern: status('disableMemPattern', 'size_t'),
    setConfig: status('addSessionConfigEntry', 'size_t', 'const char *', 'const char *'),
    enableProfiling: status('enableProfiling', 'size_t', 'const char *'),
    releaseOptions: at('releaseSessionOptions', 'void', 'size_t'),
    createSession: (model, options) => createSession(env, model, model.byteLength, options),
    // The name of the file that it returns is known; it is some bytes that nobody frees.
    endProfiling: (session) => {
      endProfiling(session, allocator);
    },
    releaseSession: at('releaseSession', 'void', 'size_t'),
    createTensor: (data, dims, type) => {
      const shape = BigInt64Array.from(dims, BigInt);
      return createTensor(memory, koffi.address(data), data.byteLength, shape, dims.length, type);
    },
    releaseTensor: at('releaseValue', 'void', 'size_t'),
    named(tensors) {
      const names = [...tensors.keys()];
      const text = Buffer.from(names.map((name) => `${name}\0`).join(''));
      let place = koffi.address(text);
      const pointers = names.map((name) => {
        const pointer = place;
        place += BigInt(Buffer.byteLength(name) + 1);
        return pointer;
      });
      const values = BigUint64Array.from(tensors.values());
      return { count: names.length, names: BigUint64Array.from(pointers), tensors: values, text };
    },
    run: (session, inputs, outputs) => {
      run(
        ...[session, 0, inputs.names, inputs.tensors, inputs.count],
        ...[outputs.names, outputs.count, outputs.tensors],
      );
    },
  };
}
