// Brings the ranks of each machine together in shared memory, step by step, so that every rank knows what became of it on all:
// nobody goes on alone in another way than the others.
import os from 'node:os';
import { type Logger, SlipError } from '@slip/core';
import type { FrameMesh } from '../frame-mesh.js';
import type { SumOrder } from '../mesh-collectives.js';
import type { MeshGroup, SharedPart } from '../mesh-group.js';
import type { MemoryKind } from '../process-group.js';
import { loadNative, type Native } from './native.js';
import { arenaBytes, controlBytes, NodeMemory } from './node-memory.js';
import {
  closeSegment,
  createSegment,
  machineKey,
  openSegment,
  PAGE,
  reserve,
  type Segment,
  type SegmentPlace,
  SHARED_FOLDER,
} from './segment.js';
import { type Topology, topologyOf, unfitForTwoLevels } from './topology.js';
import { TwoLevelCollectives } from './two-level-collectives.js';

export interface ShareOptions {
  readonly group: MeshGroup;
  readonly mesh: FrameMesh;
  readonly timeoutMs: number;
  /** Ranks with the same name share memory; without it, those on the same machine. */
  readonly machine: string | undefined;
  readonly order: SumOrder | undefined;
  readonly log: Logger;
}

/** What lets the group use shared memory where all its machines can; undefined, said on rank 0 with the reason, where not. */
export async function shareMemory(options: ShareOptions): Promise<SharedPart | undefined> {
  const { group, mesh, timeoutMs, machine, log } = options;
  const native = loadNative();
  const missing = 'missing' in native ? native.missing : '';
  const offers = await group.allGatherObject({ key: missing === '' ? (machine ?? machineKey()) : '', missing });
  const topology = topologyOf(
    offers.map(({ key }) => key),
    group.rank,
  );
  const without = offers.findIndex((offer) => offer.missing !== '');
  const reason = without >= 0 ? `rank ${without}: ${offers[without].missing}` : unfitForTwoLevels(topology);
  if (reason !== undefined || 'missing' in native) {
    if (group.rank === 0) log.debug(`all tensors go over ZeroMQ: ${reason}`);
    return undefined;
  }
  const setup = new Setup(group, topology, native, log);
  let memory: ArrayBuffer | undefined;
  const bytes = controlBytes(setup.ranks);
  const hasRoom = await setup.open(bytes, shareOf(bytes, topology.index, setup.ranks), (segment) => {
    memory = native.map(segment.fd, segment.bytes);
  });
  if (!hasRoom || memory === undefined) return undefined;
  const node = new NodeMemory(memory, {
    native,
    index: topology.index,
    ranks: setup.ranks,
    maySpin: os.availableParallelism() >= setup.ranks,
    timeoutMs,
    hopeless: (indices, what) => mesh.failure ?? goneError(topology, mesh, indices, what),
    onWaited: (ms) => {
      mesh.traffic.waitMs += ms;
    },
    late: (indices, what) => lateError(topology, group, timeoutMs, indices, what),
  });
  return {
    collectives: new TwoLevelCollectives(node, topology, mesh, options.order),
    across: topology.nodes.map((ranks) => ranks[topology.index]),
    allocate: (elements, kind) => setup.allocate(node, elements, kind),
  };
}

class Setup {
  /** Of this machine. */
  readonly ranks: number;
  private readonly group: MeshGroup;
  private readonly topology: Topology;
  private readonly native: Native;
  private readonly log: Logger;

  constructor(group: MeshGroup, topology: Topology, native: Native, log: Logger) {
    this.group = group;
    this.topology = topology;
    this.native = native;
    this.log = log;
    this.ranks = topology.nodes[topology.node].length;
  }

  /** @returns the own part of the arena, or undefined when some rank has no room */
  async allocate(node: NodeMemory, elements: number, kind: MemoryKind): Promise<Float32Array | undefined> {
    const isCommon = kind === 'common';
    const bytes = arenaBytes(elements, this.ranks, isCommon);
    let own: Float32Array | undefined;
    await this.open(bytes, shareOf(bytes, this.topology.index, this.ranks), (segment) => {
      own = node.addArena(segment, elements, isCommon);
    });
    return own;
  }

  /**
   * One segment on each machine: its first rank makes it, all reserve their share of it, and only when every rank of the world
   * has done so does anybody use it.
   * @returns whether it is in use
   */
  async open(bytes: number, share: readonly [number, number], use: (segment: Segment) => void): Promise<boolean> {
    const [group, topology] = [this.group, this.topology];
    const first = topology.nodes[topology.node][0];
    const made = topology.index === 0 ? attempt(() => createSegment(bytes)) : undefined;
    const place: SegmentPlace = { pid: process.pid, fd: made?.value?.fd ?? -1 };
    const places = await group.allGatherObject({ place, error: made?.error });
    const opened = made ?? attempt(() => openSegment(places[first].place, bytes));
    const segment = opened.value;
    try {
      const reserved = segment && attempt(() => reserve(this.native, segment, share[0], share[1] - share[0]));
      const errors = await group.allGatherObject(opened.error ?? reserved?.error ?? null);
      const without = errors.findIndex((error) => error !== null);
      if (without < 0) {
        use(segment!);
        return true;
      }
      if (group.rank === 0) this.log.warn(slower(without, errors[without]!));
      return false;
    } finally {
      if (segment !== undefined) closeSegment(segment);
    }
  }
}

/** The pages of a segment that a rank takes first, so that they lie near its core. */
function shareOf(bytes: number, index: number, ranks: number): readonly [number, number] {
  const page = (share: number) => Math.floor((bytes * share) / PAGE) * PAGE;
  return [page(index / ranks), index === ranks - 1 ? bytes : page((index + 1) / ranks)];
}

function attempt<T>(act: () => T): { value?: T; error?: string } {
  try {
    return { value: act() };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

function slower(rank: number, error: string): string {
  return (
    `rank ${rank}: ${error}; these values are copied instead, which is slower. Give the machine or container more shared ` +
    `memory (${SHARED_FOLDER}; --shm-size)`
  );
}

/** A rank that has left before it came to where the others wait. */
function goneError(
  topology: Topology,
  mesh: FrameMesh,
  indices: readonly number[],
  what: string,
): SlipError | undefined {
  const gone = indices.map((index) => topology.nodes[topology.node][index]).find((rank) => mesh.hasLeft(rank));
  if (gone === undefined) return undefined;
  const message = `rank ${gone} has left while rank ${mesh.rank} waits for it in ${what}; its log says why`;
  return new SlipError('peer-lost', message, { details: { rank: gone } });
}

function lateError(
  topology: Topology,
  { rank }: MeshGroup,
  timeoutMs: number,
  indices: readonly number[],
  what: string,
): SlipError {
  const ranks = indices.map((index) => topology.nodes[topology.node][index]);
  const who = ranks.length === 1 ? `rank ${ranks[0]} is late` : `ranks ${ranks.join(', ')} are late`;
  return new SlipError(
    'peer-lost',
    `${who}: rank ${rank} waited ${timeoutMs / 1000} s in ${what}; see the log of the late one, or raise --comm-timeout ` +
      'if it is only slow',
    { details: { rank: ranks[0] } },
  );
}
