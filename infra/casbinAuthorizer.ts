/** The Authorizer port by casbin: role-based, default deny. */
import { newCachedEnforcer, newModelFromString, StringAdapter } from 'casbin';
import type { Action, Actor, Authorizer } from '../domain/ports.ts';

/** Who a token says they are, in which role, does what to which kind of object. */
const model = `
[request_definition]
r = actor, role, kind, action
[policy_definition]
p = actor, role, kind, action
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.role == p.role && r.action == p.action && (p.actor == '*' || p.actor == r.actor) && (p.kind == '*' || p.kind == r.kind)
`;

/** A worker reads what a prompt is made of and writes turns; it never registers, invites or administers. */
const policy = `
p, *, administrator, *, read
p, *, administrator, *, write
p, *, administrator, *, administer
p, *, viewer, *, read
p, worker, worker, *, read
p, worker, worker, discussion, write
p, worker, worker, turn, write
`;

const roles: ReadonlySet<string> = new Set(['administrator', 'viewer', 'worker']);
const kinds = /^[a-z][a-z-]{0,39}$/;

/**
 * A grant counts for its own project, or for all with `*`; only a grant of `*` covers objects of no project (`project:
 * '*'`: metrics, the whole log).
 *
 * Projects are compared here and not by casbin: its cache keeps every question it was ever asked (0.003 ms instead of
 * 0.67 ms), so a question may hold nothing without bounds, neither project nor object ids. The same cache joins a
 * question's parts with `$$`, so parts that could contain it are turned down first.
 */
export async function createCasbinAuthorizer(): Promise<Authorizer> {
  const enforcer = await newCachedEnforcer(newModelFromString(model), new StringAdapter(policy.trim()));
  return {
    async may(actor: Actor, action: Action, object) {
      if (!kinds.test(object.kind)) return false;
      for (const { project, role } of actor.grants) {
        if (project !== '*' && project !== object.project) continue;
        if (!roles.has(role)) continue;
        if (await enforcer.enforce(actor.kind, role, object.kind, action)) return true;
      }
      return false;
    },
  };
}
