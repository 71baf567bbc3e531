import { createCasbinAuthorizer } from '../../infra/casbinAuthorizer.ts';
import { authorizerContract } from '../contracts/authorizer.ts';

authorizerContract('casbin', createCasbinAuthorizer);
