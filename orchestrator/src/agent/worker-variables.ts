// The environment of a worker: torchrun's variables, so that programs written for it find what they expect, and ours.
export interface WorkerVariables {
  readonly rank: number;
  readonly localRank: number;
  readonly nodeRank: number;
  readonly numNodes: number;
  readonly nprocPerNode: number;
  readonly role: string;
  readonly runId: string;
  readonly launchId: string;
  readonly generation: number;
  readonly maxRestarts: number;
  readonly masterAddress: string;
  readonly masterPort: number;
  /** The coordinator's endpoint as the worker has to dial it. */
  readonly coordinator: string;
  readonly configFile: string;
  readonly attemptFolder: string;
  readonly errorFile: string;
  /** Address at which other workers reach this one. */
  readonly host: string;
  readonly agentPid: number;
  readonly heartbeatFd: number;
  /** Threads to compute with, where the worker is bound to cores of its own. */
  readonly numCpus?: number;
  /** Where it has GPUs of its own: their list, as CUDA reads it. */
  readonly gpus?: string;
}

/** @param inherited the launcher's own environment, passed on beneath the worker's variables */
export function workerEnvironment(variables: WorkerVariables, inherited: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const v = variables;
  const worldSize = v.numNodes * v.nprocPerNode;
  const added: Record<string, string | number> = {
    LOCAL_RANK: v.localRank,
    RANK: v.rank,
    GROUP_RANK: v.nodeRank,
    ROLE_RANK: v.rank,
    ROLE_NAME: v.role,
    LOCAL_WORLD_SIZE: v.nprocPerNode,
    WORLD_SIZE: worldSize,
    GROUP_WORLD_SIZE: v.numNodes,
    ROLE_WORLD_SIZE: worldSize,
    MASTER_ADDR: v.masterAddress,
    MASTER_PORT: v.masterPort,
    TORCHELASTIC_RESTART_COUNT: v.generation,
    TORCHELASTIC_MAX_RESTARTS: v.maxRestarts,
    TORCHELASTIC_RUN_ID: v.runId,
    // The agent runs no TCPStore: a program that wants one opens it itself on MASTER_PORT.
    TORCHELASTIC_USE_AGENT_STORE: 'False',
    TORCH_NCCL_ASYNC_ERROR_HANDLING: 1,
    TORCHELASTIC_ERROR_FILE: v.errorFile,
    SLIP_COORDINATOR: v.coordinator,
    SLIP_LAUNCH_ID: v.launchId,
    SLIP_CONFIG: v.configFile,
    SLIP_ATTEMPT_DIR: v.attemptFolder,
    SLIP_HOST: v.host,
    SLIP_AGENT_PID: v.agentPid,
    SLIP_HEARTBEAT_FD: v.heartbeatFd,
  };
  if (v.numCpus !== undefined) added.SLIP_NUM_CPUS = v.numCpus;
  if (v.gpus !== undefined) {
    added.CUDA_VISIBLE_DEVICES = v.gpus;
    added.SLIP_OWN_GPUS = 1;
  }
  if (v.nprocPerNode > 1 && inherited.OMP_NUM_THREADS === undefined) added.OMP_NUM_THREADS = 1;
  return { ...inherited, ...Object.fromEntries(Object.entries(added).map(([name, value]) => [name, String(value)])) };
}
