// What of a node each worker gets for itself: cores that are next to each other, and GPUs. Pure; the machine's facts are given.

export interface Core {
  /** Numbers of the logical processors of one core that may be used. */
  readonly cpus: readonly number[];
}

export interface WorkerShare {
  /** As taskset takes them, `0,1,64,65`; undefined where workers are not bound. */
  readonly cpus?: string;
  /** How many threads a worker should compute with. */
  readonly numCpus?: number;
  /** CUDA_VISIBLE_DEVICES of this worker alone. */
  readonly gpus?: string;
}

/**
 * Equal shares, so that all workers compute in the same way; what cannot be divided stays unused.
 * @param cores in an order in which neighbours share caches
 * @param gpus entries of CUDA_VISIBLE_DEVICES
 */
export function shareNode(cores: readonly Core[], gpus: readonly string[], numWorkers: number): WorkerShare[] {
  const perWorker = Math.floor(cores.length / numWorkers);
  const gpusPerWorker = gpus.length % numWorkers === 0 ? gpus.length / numWorkers : 0;
  // A core that may be used in part makes shares uneven: then as many processors count as every worker has.
  const own = (worker: number) => cores.slice(worker * perWorker, (worker + 1) * perWorker).flatMap(({ cpus }) => cpus);
  const all = Array.from({ length: numWorkers }, (_, worker) => own(worker));
  const numCpus = Math.min(...all.map((cpus) => cpus.length));
  return all.map((cpus, worker) => ({
    ...(numCpus === 0 ? {} : { cpus: cpus.join(','), numCpus }),
    ...(gpusPerWorker === 0
      ? {}
      : { gpus: gpus.slice(worker * gpusPerWorker, (worker + 1) * gpusPerWorker).join(',') }),
  }));
}
