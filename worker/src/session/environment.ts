// What a worker is told by its agent, read from the environment once. The only place of the worker that reads it.
import path from 'node:path';
import { SlipError } from '@slip/core';
import { cacheFolder } from '@slip/weights/places';

export interface WorkerEnvironment {
  readonly rank: number;
  readonly worldSize: number;
  readonly localRank: number;
  readonly localWorldSize: number;
  readonly nodeRank: number;
  readonly numNodes: number;
  /** Restarts of all workers so far in this launch. */
  readonly generation: number;
  readonly runId: string;
  /** Tells launches on the same port apart. */
  readonly launchId: string;
  /** The coordinator's endpoint, `tcp://host:port`. */
  readonly coordinator: string;
  /** The resolved run configuration. */
  readonly configFile: string;
  readonly attemptFolder: string;
  readonly errorFile: string;
  /** Address at which other workers reach this one. */
  readonly host: string;
  /** Process id of the agent; when it is no longer our parent, we must not stay. */
  readonly agentPid: number;
  /** Descriptor of the pipe to the agent that takes the heartbeats. */
  readonly heartbeatFd: number;
  /** Threads to compute with, where this worker has cores of its own; otherwise all workers share those of the node. */
  readonly numCpus?: number;
  /** What decides which devices it sees: CUDA_VISIBLE_DEVICES and SLIP_TENSORFLOW. */
  readonly deviceVariables: NodeJS.ProcessEnv;
  /** The GPUs that it sees are for this worker alone. */
  readonly ownsGpus: boolean;
  /** SLIP_SHARE_DEVICE=1, for tests: workers of a node may have one device together. */
  readonly sharesDevice: boolean;
  /** Python that has the wandb package, for `--wandb`. */
  readonly wandbPython: string;
  /** Where downloaded weights are kept on this machine. */
  readonly cacheFolder: string;
  /** Where compiled graphs are kept on this machine; nowhere without it. */
  readonly graphCacheFolder?: string;
}

/** @throws SlipError `rendezvous` when the process was not started by slip-launch */
export function readWorkerEnvironment(env: NodeJS.ProcessEnv): WorkerEnvironment {
  const text = (name: string): string => {
    const value = env[name];
    if (value === undefined || value === '')
      throw new SlipError(
        'rendezvous',
        `${name} is not set: workers are started by slip-launch, not by hand; try slip-launch --standalone --nproc 1`,
      );
    return value;
  };
  const count = (name: string): number => {
    const value = Number(text(name));
    if (!Number.isInteger(value) || value < 0)
      throw new SlipError('rendezvous', `${name}=${text(name)} is not a whole number; let slip-launch set it`);
    return value;
  };
  return {
    coordinator: text('SLIP_COORDINATOR'),
    launchId: text('SLIP_LAUNCH_ID'),
    rank: count('RANK'),
    worldSize: count('WORLD_SIZE'),
    localRank: count('LOCAL_RANK'),
    localWorldSize: count('LOCAL_WORLD_SIZE'),
    nodeRank: count('GROUP_RANK'),
    numNodes: count('GROUP_WORLD_SIZE'),
    generation: count('TORCHELASTIC_RESTART_COUNT'),
    runId: text('TORCHELASTIC_RUN_ID'),
    configFile: text('SLIP_CONFIG'),
    attemptFolder: text('SLIP_ATTEMPT_DIR'),
    errorFile: text('TORCHELASTIC_ERROR_FILE'),
    host: text('SLIP_HOST'),
    agentPid: count('SLIP_AGENT_PID'),
    heartbeatFd: count('SLIP_HEARTBEAT_FD'),
    ...(env.SLIP_NUM_CPUS === undefined ? {} : { numCpus: count('SLIP_NUM_CPUS') }),
    deviceVariables: {
      ...(env.CUDA_VISIBLE_DEVICES === undefined ? {} : { CUDA_VISIBLE_DEVICES: env.CUDA_VISIBLE_DEVICES }),
      ...(env.SLIP_TENSORFLOW === undefined ? {} : { SLIP_TENSORFLOW: env.SLIP_TENSORFLOW }),
    },
    ownsGpus: env.SLIP_OWN_GPUS === '1',
    sharesDevice: env.SLIP_SHARE_DEVICE === '1',
    wandbPython: env.SLIP_WANDB_PYTHON ?? 'python3',
    cacheFolder: cacheFolder(env),
    ...graphCacheOf(env),
  };
}

/** `SLIP_GRAPH_CACHE`: a folder, or `off`; `graphs` in the folder of downloads without it. */
function graphCacheOf(env: NodeJS.ProcessEnv): { graphCacheFolder?: string } {
  const chosen = env.SLIP_GRAPH_CACHE || path.join(cacheFolder(env), 'graphs');
  return chosen === 'off' ? {} : { graphCacheFolder: path.resolve(chosen) };
}

/** TensorFlow computes on the first GPU that it sees, and takes memory of all of them. @param gpu an entry of CUDA_VISIBLE_DEVICES */
export function showOnlyGpu(gpu: string): void {
  process.env.CUDA_VISIBLE_DEVICES = gpu;
}
