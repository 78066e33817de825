// The C interface of libzmq, in the very library that zeromq.js brings along and has loaded. Each call is libzmq's own, with its
// errors made exceptions; nothing is decided here.
import { readFileSync } from 'node:fs';
import os from 'node:os';
import 'zeromq';
import { type Koffi, withKoffi } from '../koffi.js';

/** An address in this process. */
export type Pointer = number;

export interface LibZmq {
  readonly version: string;
  /** @param maxSockets that may be open in it */
  newContext(ioThreads: number, maxSockets: number): Pointer;
  /** Ends in the background, when all its sockets are closed and what they had to send has gone or has lingered long enough. */
  endContext(context: Pointer, ended: () => void): void;
  /** @throws Error with libzmq's reason, as all that follow */
  openSocket(context: Pointer, type: keyof typeof SOCKET_TYPES): Pointer;
  setOption(socket: Pointer, option: keyof typeof OPTIONS, value: number | string): void;
  bind(socket: Pointer, endpoint: string): void;
  connect(socket: Pointer, endpoint: string): void;
  lastEndpoint(socket: Pointer): string;
  /** What happens to the socket's connections arrives at a `pair` socket that is connected to `endpoint`. */
  monitor(socket: Pointer, endpoint: string, events: number): void;
  close(socket: Pointer): void;
  /** Copies the bytes. @returns false where the socket takes none now */
  send(socket: Pointer, bytes: Uint8Array, hasMore: boolean): boolean;
  /** Sends bytes from where they are: they must stay there, unchanged, until they have arrived. */
  sendLent(socket: Pointer, bytes: Uint8Array): boolean;
  /** The next part, cut off after `into.length` bytes. @returns its whole length, or -1 where nothing is there */
  receive(socket: Pointer, into: Uint8Array): number;
  /** The next part where libzmq has it. */
  receiveMessage(socket: Pointer): Message | undefined;
  /** Whether the message has further parts after the one received last; where that is a `Message`, it tells so itself. */
  hasMore(socket: Pointer): boolean;
  /** Sleeps until there is something to receive, or one of the files has what is wanted of it, at most `timeoutMs`. */
  waitForInput(socket: Pointer, files: readonly PolledFile[], timeoutMs: number): void;
}

export interface PolledFile {
  /** Its descriptor. */
  readonly file: number;
  /** Room to write is wanted too, not only input. */
  readonly isFull: boolean;
}

/** A part of a message in libzmq's memory. */
export interface Message {
  readonly length: number;
  readonly hasMore: boolean;
  read(at: number, into: Uint8Array): void;
  /** Gives the memory back; nothing may be read after it. */
  release(): void;
}

const SOCKET_TYPES = { pair: 0, pull: 7, push: 8 } as const;
const OPTIONS = {
  ...{ sendBuffer: 11, receiveBuffer: 12, linger: 17, reconnectInterval: 18, backlog: 19, maxMessageSize: 22 },
  ...{ sendHighWaterMark: 23, receiveHighWaterMark: 24, ipv6: 42, heartbeatInterval: 75, heartbeatTimeout: 77 },
  ...{ curveServer: 47, curvePublicKey: 48, curveSecretKey: 49, curveServerKey: 50 },
} as const;
const [RECEIVE_MORE, LAST_ENDPOINT] = [13, 32];
const [IO_THREADS, MAX_SOCKETS] = [1, 2];
const [DONT_WAIT, SEND_MORE] = [1, 2];
const [POLL_IN, POLL_OUT] = [1, 2];
/** `zmq_msg_t`, and an item of `zmq_poll`: pointer, file, wanted and found events. */
const [MESSAGE_BYTES, POLL_ITEM_BYTES] = [64, 16];
const LONGEST_ENDPOINT = 256;

/**
 * glibc gives memory of a received message back to the system and takes it anew, zeroed page by page, unless it is told to keep
 * some. See decision 15.
 */
const [M_TRIM_THRESHOLD, M_MMAP_THRESHOLD] = [-1, -3];
const [TRIM_BYTES, MMAP_BYTES] = [64 << 20, 4 << 20];

let loaded: LibZmq | { readonly missing: string } | undefined;

/** @returns the calls, or why they cannot be had */
export function loadLibZmq(): LibZmq | { readonly missing: string } {
  loaded ??= load();
  return loaded;
}

function load(): LibZmq | { readonly missing: string } {
  if (os.platform() !== 'linux') return { missing: `it is used on Linux, not on ${os.platform()}` };
  return withKoffi('libzmq cannot be called', (koffi) => bindTo(koffi, loadedAddon()));
}

/** The file of zeromq.js's addon that this process has mapped. */
function loadedAddon(): string {
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const file = /\s(\/.*\/zeromq\/.*\.node)$/.exec(line)?.[1];
    if (file !== undefined) return file;
  }
  throw new Error('the addon of zeromq is not among the files of this process');
}

function bindTo(koffi: Koffi, file: string): LibZmq {
  const library = koffi.load(file);
  const libc = koffi.load(null);
  const call = (name: string, result: string, ...parameters: string[]) =>
    library.func(`zmq_${name}`, result, parameters);
  const errno = call('errno', 'int');
  const describe = call('strerror', 'str', 'int');
  const version = call('version', 'void', 'void *', 'void *', 'void *');
  const ctxNew = call('ctx_new', 'size_t');
  const ctxSet = call('ctx_set', 'int', 'size_t', 'int', 'int');
  const ctxTerm = call('ctx_term', 'int', 'size_t');
  const socketOf = call('socket', 'size_t', 'size_t', 'int');
  const closeSocket = call('close', 'int', 'size_t');
  const setsockopt = call('setsockopt', 'int', 'size_t', 'int', 'void *', 'size_t');
  const getsockopt = call('getsockopt', 'int', 'size_t', 'int', 'void *', 'void *');
  const getWord = call('getsockopt', 'int', 'size_t', 'int', 'size_t', 'size_t');
  const bind = call('bind', 'int', 'size_t', 'str');
  const connect = call('connect', 'int', 'size_t', 'str');
  const socketMonitor = call('socket_monitor', 'int', 'size_t', 'str', 'int');
  const send = call('send', 'int', 'size_t', 'void *', 'size_t', 'int');
  const recv = call('recv', 'int', 'size_t', 'void *', 'size_t', 'int');
  const poll = call('poll', 'int', 'void *', 'int', 'long');
  const msgInit = call('msg_init', 'int', 'size_t');
  const msgInitData = call('msg_init_data', 'int', 'void *', 'void *', 'size_t', 'void *', 'void *');
  const msgSend = call('msg_send', 'int', 'void *', 'size_t', 'int');
  const msgRecv = call('msg_recv', 'int', 'size_t', 'size_t', 'int');
  const msgData = call('msg_data', 'size_t', 'size_t');
  const msgMore = call('msg_more', 'int', 'size_t');
  const msgClose = call('msg_close', 'int', 'size_t');
  const memcpy = libc.func('memcpy', 'size_t', ['void *', 'size_t', 'size_t']);
  keepFreedMemory(libc);

  const failed = (what: string) => new Error(`${what}: ${describe(errno())}`);
  const check = (result: number, what: string) => {
    if (result < 0) throw failed(what);
  };
  /** @returns what the call returns, or -1 where it would have to wait */
  const attempt = (what: string, act: () => number): number => {
    for (;;) {
      const result = act();
      if (result >= 0) return result;
      const error = errno();
      if (error === os.constants.errno.EAGAIN) return -1;
      if (error !== os.constants.errno.EINTR) throw failed(what);
    }
  };

  const [number, size] = [new BigInt64Array(1), new BigUint64Array(1)];
  const int = new Int32Array(2);
  let items = new DataView(new ArrayBuffer(POLL_ITEM_BYTES));
  const sent = Buffer.alloc(2 * MESSAGE_BYTES);
  // An option of one word and, 8 bytes on, its length. Each frame asks for one: an address is cheaper to pass than an array.
  const word = new Int32Array(new ArrayBuffer(16));
  word[2] = Int32Array.BYTES_PER_ELEMENT;
  const wordAt = Number(koffi.address(word));
  const messages = new MessagePool(koffi, msgInit as (message: Pointer) => number);

  const numbers = [0, 1, 2].map(() => new Int32Array(2));
  version(...numbers);

  return {
    version: numbers.map((part) => part[0]).join('.'),
    newContext(ioThreads, maxSockets) {
      const context = ctxNew() as Pointer;
      check(ctxSet(context, IO_THREADS, ioThreads), 'ctx_set');
      check(ctxSet(context, MAX_SOCKETS, maxSockets), 'ctx_set');
      return context;
    },
    endContext: (context, ended) => ctxTerm.async(context, ended),
    openSocket(context, type) {
      const socket = socketOf(context, SOCKET_TYPES[type]) as Pointer;
      if (socket === 0) throw failed('socket');
      return socket;
    },
    setOption(socket, option, value) {
      if (typeof value === 'string') {
        const text = Buffer.from(value);
        return check(setsockopt(socket, OPTIONS[option], text, text.length), option);
      }
      number[0] = BigInt(value);
      int[0] = value;
      const [at, bytes] = option === 'maxMessageSize' ? [number, 8] : [int, 4];
      return check(setsockopt(socket, OPTIONS[option], at, bytes), option);
    },
    bind: (socket, endpoint) => check(bind(socket, endpoint), 'bind'),
    connect: (socket, endpoint) => check(connect(socket, endpoint), 'connect'),
    lastEndpoint(socket) {
      const text = Buffer.alloc(LONGEST_ENDPOINT);
      size[0] = BigInt(text.length);
      check(getsockopt(socket, LAST_ENDPOINT, text, size), 'last endpoint');
      return text.toString('latin1', 0, Number(size[0]) - 1);
    },
    monitor: (socket, endpoint, events) => check(socketMonitor(socket, endpoint, events), 'monitor'),
    close: (socket) => check(closeSocket(socket), 'close'),
    send(socket, bytes, hasMore) {
      const flags = DONT_WAIT | (hasMore ? SEND_MORE : 0);
      return attempt('send', () => send(socket, bytes, bytes.length, flags)) >= 0;
    },
    sendLent(socket, bytes) {
      // Without a function that frees them, libzmq takes bytes for constant, and only refers to them.
      check(msgInitData(sent, bytes, bytes.length, null, null), 'msg_init_data');
      return attempt('send', () => msgSend(sent, socket, DONT_WAIT)) >= 0;
    },
    receive: (socket, into) => attempt('receive', () => recv(socket, into, into.length, DONT_WAIT)),
    receiveMessage(socket) {
      const message = messages.take();
      const length = attempt('receive', () => msgRecv(message, socket, DONT_WAIT));
      if (length < 0) {
        messages.giveBack(message);
        return undefined;
      }
      const data = msgData(message) as Pointer;
      return {
        length,
        hasMore: msgMore(message) !== 0,
        read: (at, into) => void memcpy(into, data + at, into.length),
        release() {
          msgClose(message);
          messages.giveBack(message);
        },
      };
    },
    hasMore(socket) {
      check(getWord(socket, RECEIVE_MORE, wordAt, wordAt + 8), 'more');
      return word[0] !== 0;
    },
    waitForInput(socket, files, timeoutMs) {
      const count = 1 + files.length;
      if (items.byteLength < count * POLL_ITEM_BYTES) items = new DataView(new ArrayBuffer(count * POLL_ITEM_BYTES));
      items.setBigUint64(0, BigInt(socket), true);
      items.setInt16(12, POLL_IN, true);
      for (const [i, { file, isFull }] of files.entries()) {
        const at = (i + 1) * POLL_ITEM_BYTES;
        items.setInt32(at + 8, file, true);
        items.setInt16(at + 12, isFull ? POLL_IN | POLL_OUT : POLL_IN, true);
      }
      // A signal may end it early, which is as good as its time being over.
      poll(new Uint8Array(items.buffer), count, timeoutMs);
    },
  };
}

/** Places for `zmq_msg_t`, which must stay where they are while libzmq knows them. */
class MessagePool {
  private readonly koffi: Koffi;
  private readonly init: (message: Pointer) => number;
  private readonly free: Pointer[] = [];
  private readonly blocks: Buffer[] = [];

  constructor(koffi: Koffi, init: (message: Pointer) => number) {
    this.koffi = koffi;
    this.init = init;
  }

  take(): Pointer {
    if (this.free.length === 0) this.grow();
    const message = this.free.pop()!;
    this.init(message);
    return message;
  }

  giveBack(message: Pointer): void {
    this.free.push(message);
  }

  private grow(): void {
    const count = 64;
    const block = Buffer.alloc(count * MESSAGE_BYTES);
    this.blocks.push(block);
    const start = Number(this.koffi.address(block));
    for (let i = 0; i < count; i++) this.free.push(start + i * MESSAGE_BYTES);
  }
}

/** Where the C library is not glibc, memory is as it is. */
function keepFreedMemory(libc: ReturnType<Koffi['load']>): void {
  try {
    const mallopt = libc.func('mallopt', 'int', ['int', 'int']);
    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
  } catch {
    // It is only slower.
  }
}
