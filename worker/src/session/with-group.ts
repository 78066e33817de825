// The process group of a worker: with whom it computes, found through its session.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import {
  connectThreadGroup,
  connectZeroMqGroup,
  createSoloGroup,
  type ProcessGroup,
  type Transport,
} from '@slip/comms';
import { type Logger, writeFileAtomic } from '@slip/core';
import { readDataKeys } from './data-keys.js';
import type { WorkerEnvironment, WorkerSession } from './session.js';

/** Whatever the task, the part of its configuration that is about ranks talking to each other. */
export interface GroupConfig {
  /** Seconds to wait for another rank. */
  readonly commTimeout: number;
  readonly transport: Transport;
  readonly commEncryption: 'auto' | 'on' | 'off';
  readonly reduce?: 'fixed' | 'invariant';
  /** Whether collectives run in a thread of their own; not without it. */
  readonly commThread?: 'auto' | 'on' | 'off';
}

interface GroupPlace {
  readonly environment: WorkerEnvironment;
  readonly session: WorkerSession;
  readonly log: Logger;
}

/**
 * Opens the group of this worker for `work`, and closes it again. When the work fails, the last collectives of this rank are
 * left in `<attempt>/flight/rank-00000.json`: of ranks that wait for each other, the one with the lowest number is behind.
 * @throws SlipError `rendezvous` naming the rank that does not come; whatever `work` throws
 */
export async function withGroup<T>(
  place: GroupPlace,
  config: GroupConfig,
  work: (group: ProcessGroup) => Promise<T>,
): Promise<T> {
  const group = await openGroup(place, config);
  try {
    return await work(group);
  } catch (error) {
    await writeFlightRecords(place, group);
    throw error;
  } finally {
    await group.close();
  }
}

async function openGroup({ environment, session, log }: GroupPlace, config: GroupConfig): Promise<ProcessGroup> {
  const { rank, worldSize, runId, generation, host } = environment;
  if (worldSize === 1) {
    // Nobody will connect to it; the coordinator counts a worker as started when it offers one.
    await session.exchange('solo');
    return createSoloGroup();
  }
  const keys = wantsEncryption(environment, config) ? await readDataKeys(environment.attemptFolder) : undefined;
  const connect = wantsThread(environment, config) ? connectThreadGroup : connectZeroMqGroup;
  return connect({
    ...{ rank, worldSize, runId, generation, host, log },
    transport: config.transport,
    order: config.reduce === 'invariant' ? 'tree' : 'fastest',
    ...(keys === undefined ? {} : { keys }),
    timeoutMs: config.commTimeout * 1000,
    exchange: (endpoint) => session.exchange(endpoint),
    signal: session.aborted,
  });
}

/**
 * What leaves the machine, or goes through sockets, takes time in which the computation can go on. In shared memory the sums are
 * made by the same cores: a thread would only add its own turns.
 */
function wantsThread({ numNodes }: WorkerEnvironment, { commThread = 'off', transport }: GroupConfig): boolean {
  if (commThread !== 'auto') return commThread === 'on';
  return numNodes > 1 || transport !== 'shared';
}

/** Frames that stay on one machine are seen by nobody else. */
function wantsEncryption({ host, numNodes }: WorkerEnvironment, { commEncryption }: GroupConfig): boolean {
  if (commEncryption !== 'auto') return commEncryption === 'on';
  return numNodes > 1 && !/^(127\.|::1$|localhost$)/.test(host);
}

async function writeFlightRecords({ environment, log }: GroupPlace, group: ProcessGroup): Promise<void> {
  const { rank, generation, host, attemptFolder } = environment;
  const file = path.join(attemptFolder, 'flight', `rank-${String(rank).padStart(5, '0')}.json`);
  const records = { rank, generation, host, traffic: group.traffic, calls: group.flightRecords };
  try {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFileAtomic(file, `${JSON.stringify(records, null, 1)}\n`);
  } catch (error) {
    log.warn(`the last collectives of this rank cannot be written to ${file}: ${(error as Error).message}`);
  }
}
