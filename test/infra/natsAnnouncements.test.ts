/** Announcements on a real NATS server. */
// What is under test, reached through the bus.
import '../../infra/natsAnnouncements.ts';
import { announcementsContract } from '../contracts/announcements.ts';
import { natsForTests } from '../services.ts';
import { natsInstallation } from './natsInstallation.ts';

announcementsContract('NATS JetStream', async () => {
  const nats = await natsForTests();
  const installation = natsInstallation(nats.url);
  const buses = [installation.bus(), installation.bus()] as const;
  for (const bus of buses) await bus.check();
  const [first, second] = buses;
  return {
    first: first.announcements,
    second: second.announcements,
    async positions() {
      return (await installation.announced()).map(({ body }) => BigInt((body as { position: string }).position));
    },
    async purge() {
      await (await installation.manager()).streams.purge(installation.names.events.stream);
    },
    async stop() {
      await installation.stop();
      await nats.stop();
    },
  };
});
