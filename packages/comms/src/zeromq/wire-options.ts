// What both wires over ZeroMQ are given, and what they have in common: limits, times, and what they say when something is wrong.
import { type Logger, SlipError } from '@slip/core';
import { MAX_PAYLOAD_BYTES } from '../mesh.js';
import type { Traffic } from '../process-group.js';
import { WINDOW_FRAMES } from '../wire.js';

/** Frames that one connection may queue: a window of data, as many credits, and room for other control frames. */
export const QUEUED_FRAMES = 8 * WINDOW_FRAMES;
/** ZeroMQ's own heartbeats run in its I/O thread: a rank that is busy computing still answers, a stopped one does not. */
export const HEARTBEAT_MS = 1500;
export const SILENCE_MS = 5000;
/** How long the I/O thread may go on sending after `close` has returned. */
export const LINGER_MS = 2000;
/** How long `close` waits for frames that ZeroMQ has not taken yet. */
export const HAND_OVER_MS = 500;
/** Of a part of a message as it travels: CURVE adds 33 bytes to a payload. */
export const LONGEST_PART = MAX_PAYLOAD_BYTES + 64;
/** Connections that wait to be accepted: those of all ranks come at once. */
export const BACKLOG = 1024;

/**
 * The key pair of a run, in Z85 (40 characters each), the same on all ranks and known to nobody else: who does not know the
 * public key cannot even begin a connection, which makes it a secret here.
 */
export interface CurveKeys {
  readonly publicKey: string;
  readonly secretKey: string;
}

export interface ZeroMqWireOptions {
  readonly rank: number;
  readonly host: string;
  readonly bindHost: string;
  /** Encrypts and authenticates all connections; without it frames are readable and can be forged on the way. */
  readonly keys?: CurveKeys;
  readonly traffic: Traffic;
  readonly log: Logger;
}

/** An address as it stands in an endpoint. */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Where others reach what listens at `bound`. */
export function endpointOf(host: string, bound: string): string {
  return `tcp://${bracketed(host)}:${bound.split(':').at(-1)}`;
}

export function cannotListen({ rank, bindHost }: ZeroMqWireOptions, reason: string, cause?: unknown): SlipError {
  return new SlipError(
    'rendezvous',
    `rank ${rank} cannot listen on ${bindHost}: ${reason}; give an address of this machine with --local-addr`,
    { cause },
  );
}

export function noUsableAddress(peer: number, endpoint: string, cause?: unknown): SlipError {
  return new SlipError('rendezvous', `rank ${peer} gave no usable address: '${endpoint}'`, {
    cause,
    details: { rank: peer },
  });
}

export function connectionLost(peer: number, endpoint: string): string {
  const why = 'its process has ended or is stopped, or its host cannot be reached any more';
  return `the connection to rank ${peer} (${endpoint}) was lost: ${why}; see its log`;
}

export function connectionRefused(peer: number, endpoint: string): string {
  return `rank ${peer} refuses connections at ${endpoint}; has its process ended?`;
}

export function laneLost(peer: number, endpoint: string, { message }: Error): string {
  return `${connectionLost(peer, endpoint)} (its tensors' connection: ${message})`;
}

/** Counts connections of somebody without the keys of this run, or who does not speak this protocol at all. */
export function countRefusal({ traffic, log }: ZeroMqWireOptions): void {
  if (traffic.refusedConnections === 0) log.warn('a connection from outside this run was refused');
  traffic.refusedConnections += 1;
}
