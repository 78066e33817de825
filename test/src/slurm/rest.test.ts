// node-slurm-rest against the slurmrestd of Debian 12, Slurm 22.05.
import test from 'node:test';
import { skipWithoutSlurm, startCluster } from './cluster.js';
import { tryRestClient } from './rest-client.js';

test('a live slurmrestd: everything the client offers', { skip: skipWithoutSlurm() }, async (context) => {
  const cluster = await startCluster(context, '--nodes', '2', '--gpus', '4');
  await tryRestClient(context, cluster, {
    apiVersion: 'v0.0.38',
    release: /^22\.05\./,
    missingVersion: 'v0.0.41',
    saysPreemptMode: true,
    refusesUnknownKeys: true,
    signalsBatchScript: false,
    badToken: { code: 'controller-unavailable', message: /refused the token/ },
  });
});
