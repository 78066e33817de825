// The few calls of the C library that a lane needs: sending and receiving without waiting, on a connection that Node has made.
import { readFileSync } from 'node:fs';
import type net from 'node:net';
import os from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { type Koffi, withKoffi } from '../koffi.js';

export interface Sockets {
  /** A second descriptor of the same connection, which stays open when Node closes its own; not inherited by children. @throws Error */
  duplicate(socket: net.Socket): number;
  /** Bytes that the system may hold of what is sent. Where it allows less, it goes on choosing the size itself, which may then be larger. */
  setSendBuffer(file: number, bytes: number): void;
  /** Whoever waits for input is woken when so many bytes are there, or the end. */
  wakeAt(file: number, bytes: number): void;
  /**
   * @param hasMore the next call sends what belongs to it
   * @returns how many bytes were taken; 0 where there is no room now. @throws Error in the system's words
   */
  send(file: number, bytes: Uint8Array, hasMore: boolean): number;
  /** @returns how many bytes came; -1 where there are none now, 0 at the end of the connection. @throws Error in the system's words */
  receive(file: number, into: Uint8Array): number;
  close(file: number): void;
}

const F_DUPFD_CLOEXEC = 1030;
const [SOL_SOCKET, SO_SNDBUF, SO_RCVLOWAT] = [1, 7, 18];
const [MSG_DONTWAIT, MSG_NOSIGNAL, MSG_MORE] = [0x40, 0x4000, 0x8000];

let loaded: Sockets | { readonly missing: string } | undefined;

/** @returns the calls, or why they cannot be had */
export function loadSockets(): Sockets | { readonly missing: string } {
  loaded ??= load();
  return loaded;
}

function load(): Sockets | { readonly missing: string } {
  // The numbers above are Linux's on these.
  if (os.platform() !== 'linux' || !['x64', 'arm64'].includes(process.arch))
    return { missing: `plain tcp is used on Linux (x64, arm64), not on ${os.platform()} ${process.arch}` };
  return withKoffi('the C library cannot be used', bind);
}

/** Bytes; 0 where it cannot be read. */
function largestSendBuffer(): number {
  try {
    return Number(readFileSync('/proc/sys/net/core/wmem_max', 'utf8'));
  } catch {
    return 0;
  }
}

/** Node does not document where it keeps it. */
function descriptorOf(socket: net.Socket): number {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } };
  if (handle?.fd === undefined) throw new Error('this version of Node does not show the descriptor of a connection');
  return handle.fd;
}

function bind(koffi: Koffi): Sockets {
  const libc = koffi.load(null);
  const fcntl = libc.func('int fcntl(int fd, int command, ...)');
  const setsockopt = libc.func('int setsockopt(int fd, int level, int name, void *value, uint32_t length)');
  const send = libc.func('int64_t send(int fd, void *bytes, size_t length, int flags)');
  const recv = libc.func('int64_t recv(int fd, void *bytes, size_t length, int flags)');
  const close = libc.func('int close(int fd)');
  const { EAGAIN, EINTR } = os.constants.errno;
  const value = new Int32Array(1);

  /** @returns what the call returns, or -1 where it would have to wait */
  const attempt = (act: () => number): number => {
    for (;;) {
      const result = act();
      if (result >= 0) return result;
      const error = koffi.errno();
      if (error === EAGAIN) return -1;
      if (error !== EINTR) throw new Error(getSystemErrorMap().get(-error)?.[1] ?? `error ${error}`);
    }
  };

  const set = (file: number, option: number, to: number) => {
    value[0] = to;
    setsockopt(file, SOL_SOCKET, option, value, value.byteLength);
  };

  return {
    duplicate: (socket) => attempt(() => fcntl(descriptorOf(socket), F_DUPFD_CLOEXEC, 'int', 0)),
    setSendBuffer(file, bytes) {
      if (bytes <= largestSendBuffer()) set(file, SO_SNDBUF, bytes);
    },
    wakeAt: (file, bytes) => set(file, SO_RCVLOWAT, bytes),
    send(file, bytes, hasMore) {
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL | (hasMore ? MSG_MORE : 0);
      return Math.max(
        0,
        attempt(() => Number(send(file, bytes, bytes.length, flags))),
      );
    },
    receive: (file, into) => attempt(() => Number(recv(file, into, into.length, MSG_DONTWAIT))),
    close: (file) => void close(file),
  };
}
