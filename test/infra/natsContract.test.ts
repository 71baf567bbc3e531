/** The bus on a real NATS server. */
import { busContract } from '../contracts/bus.ts';
import { natsForTests } from '../services.ts';
import { natsInstallation } from './natsInstallation.ts';

busContract('NATS JetStream', async () => {
  const nats = await natsForTests();
  const installation = natsInstallation(nats.url);
  const [bus, other] = [installation.bus({ maxWakeUps: 2_000 }), installation.bus()];
  await bus.check();
  await other.check();
  return {
    bus,
    other,
    async stop() {
      await installation.stop();
      await nats.stop();
    },
  };
});
