// A wire inside one process, for tests and for a world of one. Nothing is lost here and nobody has to be reached.
import { FrameMesh } from './frame-mesh.js';
import { heldPayload } from './held-payload.js';
import { MAX_PAYLOAD_BYTES } from './mesh.js';
import { MeshGroup } from './mesh-group.js';
import { noTraffic, type ProcessGroup } from './process-group.js';
import type { FrameHeader, Outgoing } from './wire.js';

/** Groups of all ranks of a world, joined in memory. `timeoutMs` is the deadline of every wait. */
export function createMemoryGroups(worldSize: number, { timeoutMs = 30_000 } = {}): ProcessGroup[] {
  const meshes: FrameMesh[] = [];
  for (let rank = 0; rank < worldSize; rank++) {
    const traffic = noTraffic();
    const post = (to: number, header: FrameHeader, payload: Outgoing) => {
      const copy = payload.bytes().slice();
      traffic.bytesSent += copy.length;
      traffic.messages += 1;
      // Later, as on any wire: a frame must not arrive inside the call that sends it.
      queueMicrotask(() => meshes[to].deliver(rank, header, heldPayload(copy)));
    };
    meshes.push(
      new FrameMesh({
        rank,
        worldSize,
        timeoutMs,
        traffic,
        wire: { chunkBytes: MAX_PAYLOAD_BYTES, post, setWaiting() {}, async close() {} },
      }),
    );
  }
  return meshes.map((mesh) => new MeshGroup(mesh));
}
