// The facts of this machine that devices depend on: drivers, libraries, adapters, packages. What they mean is report.ts.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { loadKoffi } from './foreign-calls.js';
import { findTensorFlow, type TensorFlowPackage } from './tensorflow-package.js';
import { type Adapter, listAdapters } from './vulkan.js';

export interface DeviceFacts {
  /** As Node names them: `linux-x64`. */
  readonly platform: string;
  /** Device files of NVIDIA's driver. */
  readonly numNvidiaGpus: number;
  /** Of NVIDIA's kernel module, if it is loaded. */
  readonly nvidiaDriver?: string;
  /** CUDA_VISIBLE_DEVICES. */
  readonly visibleGpus?: string;
  /** As WebGPU takes them; empty where Vulkan offers none or is not there. */
  readonly adapters: readonly Adapter[];
  /** Why there are none. */
  readonly adapterProblem?: string;
  /** Parts of ONNX Runtime's CUDA provider that are not in its package. */
  readonly missingProviderFiles: readonly string[];
  /** Libraries of CUDA that the provider needs and the loader does not find. */
  readonly missingCudaLibraries: readonly string[];
  readonly tensorflow?: TensorFlowPackage;
}

/** What the npm package of ONNX Runtime leaves out, of the same version as the rest. */
export const CUDA_PROVIDER_FILES = ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'] as const;

/** What ONNX Runtime 1.30's CUDA provider is linked to. */
const CUDA_LIBRARIES = [
  'libcudart.so.12',
  'libcublas.so.12',
  'libcublasLt.so.12',
  'libcufft.so.11',
  'libcurand.so.10',
  'libcudnn.so.9',
];

/** The folder of ONNX Runtime's libraries, where those of its CUDA provider have to be. */
export function cudaFolder(): string {
  const entry = createRequire(import.meta.url).resolve('onnxruntime-node');
  return path.resolve(path.dirname(entry), '..', 'bin', 'napi-v6', process.platform, process.arch);
}

/** Reads CUDA_VISIBLE_DEVICES and SLIP_TENSORFLOW from the given environment. Loads driver libraries, starts nothing. */
export function findDeviceFacts(environment: NodeJS.ProcessEnv): DeviceFacts {
  const driver = readText('/proc/driver/nvidia/version')?.match(/Kernel Module\s+(?:for \S+\s+)?([\d.]+)/)?.[1];
  const tensorflow = findTensorFlow(environment.SLIP_TENSORFLOW);
  return {
    platform: `${process.platform}-${process.arch}`,
    numNvidiaGpus: listFolder('/dev').filter((name) => /^nvidia\d+$/.test(name)).length,
    ...(driver === undefined ? {} : { nvidiaDriver: driver }),
    ...(environment.CUDA_VISIBLE_DEVICES === undefined ? {} : { visibleGpus: environment.CUDA_VISIBLE_DEVICES }),
    ...findAdapters(),
    missingProviderFiles: CUDA_PROVIDER_FILES.filter((name) => !existsSync(path.join(cudaFolder(), name))),
    missingCudaLibraries: CUDA_LIBRARIES.filter((name) => !canLoad(name)),
    ...(tensorflow === undefined ? {} : { tensorflow }),
  };
}

function findAdapters(): Pick<DeviceFacts, 'adapters' | 'adapterProblem'> {
  if (process.platform !== 'linux') return { adapters: [], adapterProblem: 'adapters are only listed on Linux' };
  try {
    const adapters = listAdapters();
    return adapters.length > 0 ? { adapters } : { adapters, adapterProblem: 'Vulkan finds no device' };
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    return { adapters: [], adapterProblem: `the Vulkan loader libvulkan.so.1 does not work: ${reason}` };
  }
}

function canLoad(library: string): boolean {
  try {
    loadKoffi().load(library);
    return true;
  } catch {
    return false;
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
