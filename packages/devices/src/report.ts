// What each device needs, what of it was found, and the command that mends what is missing. The one place that describes devices. Pure.
import type { DeviceFacts } from './facts.js';

export const DEVICE_KINDS = ['cpu', 'webgpu', 'cuda', 'tensorflow'] as const;
export type DeviceKind = (typeof DEVICE_KINDS)[number];

export interface DeviceReport {
  readonly kind: DeviceKind;
  /** In one line. */
  readonly needs: string;
  readonly found: string;
  readonly isUsable: boolean;
  /** What to do, where it is not usable. */
  readonly mend?: string;
}

export function reportOnDevices(facts: DeviceFacts): DeviceReport[] {
  return DEVICE_KINDS.map((kind) => reportOnDevice(kind, facts));
}

export function reportOnDevice(kind: DeviceKind, facts: DeviceFacts): DeviceReport {
  return { kind, ...REPORTS[kind](facts) };
}

/** What to do where a device seemed usable and its trial failed: a software adapter of Vulkan may be one that WebGPU does not take. */
export function mendFailed(kind: DeviceKind, facts: DeviceFacts): string | undefined {
  return kind === 'webgpu' && facts.adapters.every(({ type }) => type === 'cpu') ? mendAdapters(facts) : undefined;
}

const REPORTS: Readonly<Record<DeviceKind, (facts: DeviceFacts) => Omit<DeviceReport, 'kind'>>> = {
  cpu: ({ platform }) => ({
    needs: 'nothing beside npm packages',
    found: platform,
    isUsable: true,
  }),

  webgpu: (facts) => {
    const { adapters, adapterProblem = 'none' } = facts;
    return {
      needs: "a GPU whose driver offers Vulkan; ONNX Runtime's package has the rest",
      found:
        adapters.length > 0
          ? adapters.map(({ name, type, uuid }) => `${name} (${type}, ${uuid.slice(0, 8)})`).join(', ')
          : `no adapter: ${adapterProblem}`,
      ...usableUnless(adapters.length === 0 ? mendAdapters(facts) : undefined),
    };
  },

  cuda: (facts) => {
    const { missingProviderFiles, missingCudaLibraries, nvidiaDriver } = facts;
    const numGpus = visibleGpus(facts).length;
    const missing = [
      ...(nvidiaDriver === undefined ? ["NVIDIA's driver"] : []),
      ...(nvidiaDriver !== undefined && numGpus === 0 ? ['a visible GPU'] : []),
      ...missingProviderFiles,
      ...missingCudaLibraries,
    ];
    return {
      needs: "NVIDIA's driver, CUDA 12 with cuDNN 9, and ONNX Runtime's CUDA provider, which npm does not carry",
      found:
        `${numGpus} visible GPU${numGpus === 1 ? '' : 's'}, driver ${nvidiaDriver ?? 'none'}` +
        (missing.length > 0 ? `; missing: ${missing.join(', ')}` : ''),
      ...usableUnless(mendCuda(facts)),
    };
  },

  tensorflow: ({ tensorflow }) => ({
    needs: "TensorFlow's addon for Node: @tensorflow/tfjs-node-gpu, or one that is built for a newer TensorFlow",
    found: tensorflow === undefined ? 'no package' : `${tensorflow.name} ${tensorflow.version} in ${tensorflow.folder}`,
    ...usableUnless(
      tensorflow === undefined
        ? 'npm run build-tensorflow -- --output DIR, then SLIP_TENSORFLOW=DIR; or npm install --no-save @tensorflow/tfjs-node-gpu'
        : undefined,
    ),
  }),
};

function usableUnless(mend: string | undefined): Pick<DeviceReport, 'isUsable' | 'mend'> {
  return mend === undefined ? { isUsable: true } : { isUsable: false, mend };
}

function mendAdapters({ numNvidiaGpus, adapterProblem = '' }: DeviceFacts): string {
  if (adapterProblem.includes('libvulkan')) return 'install the Vulkan loader: apt-get install libvulkan1';
  if (numNvidiaGpus > 0)
    return "NVIDIA's Vulkan driver is not seen: it needs nvidia_icd.json in /usr/share/vulkan/icd.d, and in a container NVIDIA_DRIVER_CAPABILITIES=all";
  return 'no GPU is here; to try it on the CPU: apt-get install chromium, then VK_DRIVER_FILES=/usr/lib/chromium/vk_swiftshader_icd.json';
}

function mendCuda(facts: DeviceFacts): string | undefined {
  if (facts.platform !== 'linux-x64') return `not on ${facts.platform}: the CUDA provider is made for linux-x64`;
  const steps = [
    ...(facts.missingProviderFiles.length > 0
      ? ['npm run setup-cuda (without a network: npm run setup-cuda -- --from FILE)']
      : []),
    ...(facts.missingCudaLibraries.length > 0
      ? ['load CUDA 12 and cuDNN 9 (module load, or LD_LIBRARY_PATH with the folders of their libraries)']
      : []),
    ...(facts.nvidiaDriver === undefined ? ["install NVIDIA's driver on a machine with its GPU"] : []),
    ...(facts.nvidiaDriver !== undefined && visibleGpus(facts).length === 0
      ? ['let a GPU be seen: CUDA_VISIBLE_DEVICES, or ask Slurm for one']
      : []),
  ];
  return steps.length === 0 ? undefined : steps.join('; then ');
}

/** Entries of CUDA_VISIBLE_DEVICES as CUDA reads it: what follows an invalid one does not count. All GPUs where it is not set. */
export function visibleGpus({ numNvidiaGpus, visibleGpus }: DeviceFacts): string[] {
  const all = Array.from({ length: numNvidiaGpus }, (_, i) => String(i));
  if (visibleGpus === undefined) return all;
  const entries = visibleGpus.split(',').map((entry) => entry.trim());
  const end = entries.findIndex((entry) => entry === '' || entry === '-1' || entry === 'NoDevFiles');
  return (end === -1 ? entries : entries.slice(0, end)).slice(0, numNvidiaGpus);
}
