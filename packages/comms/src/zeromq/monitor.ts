// What libzmq tells of a socket's connections.
import type { LibZmq, Pointer } from './libzmq.js';

/** Numbers of libzmq's events. */
export const NEVER_CONNECTED = 0x80;
export const CONNECTION_ENDED = 0x200;
/** Without a reason, by protocol, by keys. */
export const HANDSHAKE_FAILED = 0x800 | 0x2000 | 0x4000;

export class Monitor {
  private readonly zmq: LibZmq;
  private readonly socket: Pointer;
  private readonly bytes = Buffer.alloc(64);

  /** @param name of its own within the context; @param events the sum of those that are of interest */
  constructor(zmq: LibZmq, context: Pointer, watched: Pointer, name: string, events: number) {
    this.zmq = zmq;
    zmq.monitor(watched, `inproc://${name}`, events);
    this.socket = zmq.openSocket(context, 'pair');
    zmq.setOption(this.socket, 'linger', 0);
    zmq.connect(this.socket, `inproc://${name}`);
  }

  /** The events since the last call. */
  read(): number[] {
    const events: number[] = [];
    // The event with its value, then an address.
    while (this.zmq.receive(this.socket, this.bytes) >= 0) {
      events.push(this.bytes.readUInt16LE(0));
      while (this.zmq.hasMore(this.socket)) this.zmq.receive(this.socket, this.bytes);
    }
    return events;
  }

  close(): void {
    this.zmq.close(this.socket);
  }
}
