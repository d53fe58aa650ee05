import { Socket } from "node:net"

/** A socket that goes to the cluster, whatever host it is told to connect to. */
export const dialling = (cluster: { readonly port: number; readonly hostaddr: string }): Socket => {
  const socket = new Socket()
  const dial = socket.connect.bind(socket)
  socket.connect = () => dial(cluster.port, cluster.hostaddr)
  return socket
}
