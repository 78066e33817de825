// The device of a worker: chosen by its local rank and what it may see, opened, and compared with those of the other workers.
import type { ProcessGroup } from '@slip/comms';
import type { Logger } from '@slip/core';
import { checkDevices, chooseDevice, type DeviceChoice, type DeviceWish, findDeviceFacts } from '@slip/devices';
import { type Device, openDevice, openGraphCache } from '@slip/engine';
import { showOnlyGpu, type WorkerEnvironment } from './environment.js';

/**
 * Collective. @throws SlipError `unsupported` on all ranks alike where one lacks what its device needs, or two would share one
 */
export async function takeDevice(
  wish: DeviceWish,
  environment: WorkerEnvironment,
  group: ProcessGroup,
  log: Logger,
): Promise<Device> {
  const { localRank, host, ownsGpus, sharesDevice, graphCacheFolder: folder } = environment;
  const cached = folder === undefined ? {} : { graphCache: openGraphCache({ folder }) };
  if (wish === 'cpu') return openDevice('cpu', cached);
  const choice = chooseDevice(wish, findDeviceFacts(environment.deviceVariables), ownsGpus ? 0 : localRank);
  const { kind, name } = choice;
  const identity = sharesDevice ? {} : identityOf(choice);
  checkDevices(await group.allGatherObject({ host, kind, name, ...identity }));
  log.info(`device ${kind}: ${name}${choice.identity === undefined ? '' : `, ${choice.identity}`}`);
  if (kind === 'tensorflow' && choice.identity !== undefined) showOnlyGpu(choice.identity);
  return openDevice(kind, {
    ...cached,
    ...(choice.gpuIndex === undefined ? {} : { gpuIndex: choice.gpuIndex }),
    ...(choice.tensorflow === undefined ? {} : { tensorflowFolder: choice.tensorflow }),
  });
}

function identityOf({ identity }: DeviceChoice): { identity?: string } {
  return identity === undefined ? {} : { identity };
}
