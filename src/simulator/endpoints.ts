/** Every request that the exchange knows. */
import { accountEndpoints } from "./accountEndpoints.ts"
import type { Endpoint } from "./Endpoint.ts"
import { marketEndpoints } from "./marketEndpoints.ts"
import { orderEndpoints } from "./orderEndpoints.ts"

export const endpoints: ReadonlyArray<Endpoint> = [...marketEndpoints, ...orderEndpoints, ...accountEndpoints]
