// Submits a job to the slurmrestd behind $SLURMRESTD_SOCKET, or $SLURMRESTD_URL with a token, and waits for its end.
import { setTimeout as sleep } from 'node:timers/promises';
import { createSlurmClient, SlurmError } from 'node-slurm-rest';

const { SLURMRESTD_SOCKET, SLURMRESTD_URL, SLURMRESTD_USER, SLURMRESTD_TOKEN } = process.env;
const slurm = createSlurmClient(
  SLURMRESTD_SOCKET
    ? { url: `unix:${SLURMRESTD_SOCKET}` }
    : { url: SLURMRESTD_URL ?? '', user: SLURMRESTD_USER, token: SLURMRESTD_TOKEN },
);

try {
  console.log(`Slurm ${await slurm.release()}, API ${await slurm.apiVersion()}`);
  const { id } = await slurm.submitJob({
    name: 'example',
    script: '#!/bin/bash\nsrun hostname\n',
    environment: { PATH: '/usr/bin:/bin' },
    workingDirectory: '/tmp',
    standardOutput: '/tmp/example-%j.txt',
    nodes: 2,
    timeLimitMinutes: 5,
  });
  for (;;) {
    const { state, stateFlags, nodes, exitCode } = await slurm.job(id);
    if (state !== 'PENDING' && state !== 'RUNNING' && stateFlags.length === 0) {
      console.log(`job ${id} on ${nodes}: ${state}, exit code ${exitCode}`);
      break;
    }
    await sleep(500);
  }
} catch (error) {
  if (!(error instanceof SlurmError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await slurm.close();
}
