import { ticketsContract } from '../contracts/tickets.ts';
import { wallClock } from './wallClock.ts';
import { createMemoryTickets } from './memoryTickets.ts';

ticketsContract('tickets in memory', async () => {
  const tickets = createMemoryTickets(wallClock);
  return { tickets, elsewhere: tickets, stop: () => Promise.resolve() };
});
