// What this machine has for workers to run on: visible GPUs and usable cores.
import { readdirSync } from 'node:fs';
import os from 'node:os';
import type { Machine } from './launch-settings.js';

/** Reads CUDA_VISIBLE_DEVICES and the device files of NVIDIA's driver; starts no driver library. */
export function readMachine(environment: NodeJS.ProcessEnv): Machine {
  return { numGpus: countGpus(environment.CUDA_VISIBLE_DEVICES, listDevices()), numCores: os.availableParallelism() };
}

/** @param visible a comma-separated list as CUDA reads it: what follows an invalid entry does not count */
export function countGpus(visible: string | undefined, deviceFiles: readonly string[]): number {
  const numPresent = deviceFiles.filter((name) => /^nvidia\d+$/.test(name)).length;
  if (visible === undefined) return numPresent;
  const entries = visible.split(',').map((entry) => entry.trim());
  const end = entries.findIndex((entry) => entry === '' || entry === '-1' || entry === 'NoDevFiles');
  return Math.min(numPresent, end === -1 ? entries.length : end);
}

function listDevices(): string[] {
  try {
    return readdirSync('/dev');
  } catch {
    return [];
  }
}
