// Which device a worker takes. Pure: the machine's facts are given.
import { SlipError } from '@slip/core';
import type { DeviceFacts } from './facts.js';
import { type DeviceKind, reportOnDevice, visibleGpus } from './report.js';
import type { Adapter } from './vulkan.js';

export type DeviceWish = DeviceKind | 'auto';

export interface DeviceChoice {
  readonly kind: DeviceKind;
  /** For people. */
  readonly name: string;
  /** With CUDA and TensorFlow: the number among the visible GPUs. */
  readonly gpuIndex?: number;
  /** With TensorFlow: the folder of its package. */
  readonly tensorflow?: string;
  /** What no other worker of the machine may have too; absent where workers may share. */
  readonly identity?: string;
}

/**
 * `auto`: cuda where everything for it is here, else webgpu on a real GPU, else the CPU.
 * @param localRank of the worker on its node: it takes the GPU of that number among the visible ones
 * @throws SlipError `unsupported` naming what is missing and the command that mends it
 */
export function chooseDevice(wish: DeviceWish, facts: DeviceFacts, localRank: number): DeviceChoice {
  if (wish === 'auto') return chooseDevice(bestKind(facts), facts, localRank);
  const { isUsable, found, mend } = reportOnDevice(wish, facts);
  if (!isUsable) throw new SlipError('unsupported', `--device ${wish} cannot be used here (${found}); ${mend}`);
  switch (wish) {
    case 'cpu':
      return { kind: 'cpu', name: 'the CPU' };
    case 'webgpu': {
      const [adapter] = facts.adapters as readonly [Adapter, ...Adapter[]];
      return { kind: 'webgpu', name: `${adapter.name} (${adapter.type})`, identity: adapter.uuid };
    }
    case 'cuda': {
      const gpu = gpuOf(facts, localRank);
      return { kind: 'cuda', name: `GPU ${gpu.entry}`, gpuIndex: gpu.index, identity: gpu.entry };
    }
    case 'tensorflow': {
      const { name, version, folder } = facts.tensorflow!;
      const own = { kind: 'tensorflow', name: `${name} ${version}`, tensorflow: folder } as const;
      if (visibleGpus(facts).length === 0) return own;
      const gpu = gpuOf(facts, localRank);
      return { ...own, name: `${own.name}, GPU ${gpu.entry}`, gpuIndex: gpu.index, identity: gpu.entry };
    }
    default:
      return wish satisfies never;
  }
}

function bestKind(facts: DeviceFacts): DeviceKind {
  if (reportOnDevice('cuda', facts).isUsable) return 'cuda';
  return facts.adapters.some(({ type }) => type === 'discrete' || type === 'integrated') ? 'webgpu' : 'cpu';
}

/** The launcher gives a worker the GPUs that are its own where it can; one that is left alone takes that of its local rank. */
function gpuOf(facts: DeviceFacts, localRank: number): { index: number; entry: string } {
  const gpus = visibleGpus(facts);
  const index = gpus.length === 1 ? 0 : localRank;
  const entry = gpus[index];
  if (entry === undefined) {
    throw new SlipError(
      'unsupported',
      `local rank ${localRank} finds ${gpus.length} visible GPUs (CUDA_VISIBLE_DEVICES=${facts.visibleGpus ?? 'not set'}); start at most ` +
        'as many workers as GPUs, such as --nproc gpu',
    );
  }
  return { index, entry };
}

/**
 * @param ranks host and device of every worker, in rank order
 * @throws SlipError `unsupported` where two workers have one device, or not all have the same kind
 */
export function checkDevices(
  ranks: readonly {
    readonly host: string;
    readonly kind: DeviceKind;
    readonly name: string;
    readonly identity?: string;
  }[],
): void {
  const seen = new Map<string, number>();
  for (const [rank, { host, kind, name, identity }] of ranks.entries()) {
    if (kind !== ranks[0]!.kind) {
      throw new SlipError(
        'unsupported',
        `rank ${rank} on ${host} has ${kind} (${name}), rank 0 on ${ranks[0]!.host} has ${ranks[0]!.kind} (${ranks[0]!.name}); give --device, so that all compute alike`,
      );
    }
    if (identity === undefined) continue;
    const key = `${host} ${identity}`;
    const other = seen.get(key);
    if (other !== undefined) {
      throw new SlipError(
        'unsupported',
        `ranks ${other} and ${rank} on ${host} would share one device, ${name} (${identity}); ` +
          (kind === 'webgpu'
            ? 'WebGPU always takes the first adapter that it sees: start one worker per node, let Slurm show each its own GPU ' +
              '(ConstrainDevices), or use --device cuda'
            : 'start at most as many workers as GPUs'),
      );
    }
    seen.set(key, rank);
  }
}
