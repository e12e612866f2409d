"""Frames at once: a kernel's websocket that does not wait for delayed acknowledgments (about 40 ms a small picture)."""

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class NoDelayConnection(ZMQChannelsWebsocketConnection):
    """Jupyter's own connection with TCP_NODELAY, which the server leaves off."""

    def connect(self):
        self.websocket_handler.set_nodelay(True)
        return super().connect()
