// What this machine has for workers to run on: visible GPUs and usable cores.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import type { Logger } from '@slip/core';
import { type Core, shareNode, type WorkerShare } from '../agent/worker-share.js';
import type { Machine } from './launch-settings.js';

/** Reads CUDA_VISIBLE_DEVICES and the device files of NVIDIA's driver; starts no driver library. */
export function readMachine(environment: NodeJS.ProcessEnv): Machine {
  return { numGpus: countGpus(environment.CUDA_VISIBLE_DEVICES, listDevices()), numCores: os.availableParallelism() };
}

/** @param visible a comma-separated list as CUDA reads it: what follows an invalid entry does not count */
export function countGpus(visible: string | undefined, deviceFiles: readonly string[]): number {
  const numPresent = deviceFiles.filter((name) => /^nvidia\d+$/.test(name)).length;
  if (visible === undefined) return numPresent;
  return Math.min(numPresent, visibleGpus(visible).length);
}

/** What each worker of this node gets for itself; what stays shared is said. */
export function readShares(numWorkers: number, environment: NodeJS.ProcessEnv, log: Logger): WorkerShare[] {
  const cores = usableCores();
  const why = reasonNotToBind(cores, numWorkers, environment);
  if (why !== undefined) log.info(`workers share the cores of this node: ${why}`);
  return shareNode(why === undefined ? cores : [], visibleGpus(environment.CUDA_VISIBLE_DEVICES), numWorkers);
}

function reasonNotToBind(cores: readonly Core[], numWorkers: number, environment: NodeJS.ProcessEnv) {
  const numCpus = cores.flatMap(({ cpus }) => cpus).length;
  const given = Number(environment.SLURM_CPUS_ON_NODE ?? numCpus);
  if (cores.length < numWorkers) return `${cores.length} cores for ${numWorkers} workers`;
  // More: jobs that are not kept apart by Slurm would all bind to the same first cores. Fewer: several nodes share this machine.
  if (numCpus !== given) return `Slurm gave this job ${given} processors of this node, and it may use ${numCpus}`;
  const folders = (environment.PATH ?? '').split(':');
  return folders.some((folder) => existsSync(`${folder}/taskset`)) ? undefined : 'taskset is not installed';
}

/** Cores that this process may use, neighbours next to each other; empty where the kernel does not say. */
export function usableCores(): Core[] {
  try {
    const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
    const byCore = new Map<string, number[]>();
    for (const cpu of parseCpuList(list)) {
      const topology = `/sys/devices/system/cpu/cpu${cpu}/topology`;
      const number = (name: string) => readFileSync(`${topology}/${name}`, 'utf8').trim().padStart(6, '0');
      const core = `${number('physical_package_id')} ${number('core_id')}`;
      byCore.set(core, [...(byCore.get(core) ?? []), cpu]);
    }
    return [...byCore].sort(([a], [b]) => a.localeCompare(b)).map(([, cpus]) => ({ cpus }));
  } catch {
    return [];
  }
}

/** `0-3,8` is 0, 1, 2, 3, 8. */
export function parseCpuList(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) return [];
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** What follows an invalid entry does not count, as CUDA reads it. */
function visibleGpus(visible: string | undefined): string[] {
  const entries = (visible ?? '').split(',').map((entry) => entry.trim());
  const end = entries.findIndex((entry) => entry === '' || entry === '-1' || entry === 'NoDevFiles');
  return end === -1 ? entries : entries.slice(0, end);
}

function listDevices(): string[] {
  try {
    return readdirSync('/dev');
  } catch {
    return [];
  }
}
