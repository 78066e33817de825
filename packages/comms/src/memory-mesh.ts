// A mesh inside one process, for tests and for trying algorithms without sockets. It knows failures but no deadlines.
import { SlipError } from '@slip/core';
import { describeTag, sameTag } from './frame-tag.js';
import type { FrameTag, Mesh } from './mesh.js';
import { MeshGroup } from './mesh-group.js';
import type { ProcessGroup } from './process-group.js';

interface Letter {
  readonly tag: FrameTag;
  readonly payload: Uint8Array;
}

/** Groups of all ranks of a world, joined in memory. A failure of one rank, or a closed one, ends the waits of all. */
export function createMemoryGroups(worldSize: number): ProcessGroup[] {
  const boxes = Array.from({ length: worldSize ** 2 }, () => ({ letters: [] as Letter[], arrive: () => {} }));
  let failure: SlipError | undefined;
  const fail = (message: string) => {
    failure ??= new SlipError('peer-lost', message);
    for (const box of boxes) box.arrive();
    return failure;
  };
  return Array.from({ length: worldSize }, (_, rank) => {
    const traffic = { bytesSent: 0, messages: 0, waitMs: 0 };
    const mesh: Mesh = {
      rank,
      worldSize,
      async send(to, tag, payload) {
        const box = boxes[rank * worldSize + to];
        box.letters.push({ tag, payload: payload.slice() });
        traffic.bytesSent += payload.length;
        traffic.messages += 1;
        box.arrive();
      },
      async receive(from, tag) {
        const box = boxes[from * worldSize + rank];
        while (box.letters.length === 0) {
          if (failure !== undefined) throw failure;
          await new Promise<void>((resolve) => {
            box.arrive = resolve;
          });
        }
        const letter = box.letters.shift()!;
        if (!sameTag(letter.tag, tag)) {
          throw fail(
            `ranks disagree: rank ${from} is at ${describeTag(letter.tag)}, rank ${rank} at ${describeTag(tag)}`,
          );
        }
        return letter.payload;
      },
      async close() {
        fail(`rank ${rank} has closed its process group`);
      },
    };
    return new MeshGroup(mesh, traffic);
  });
}
