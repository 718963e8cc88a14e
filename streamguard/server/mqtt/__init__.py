"""MQTT: states and events for a broker, in the form that Home Assistant discovers, and commands from it."""

from streamguard.server.mqtt.bridge import MqttBridge, check_broker
from streamguard.server.mqtt.commands import StreamCommands
from streamguard.server.mqtt.metrics import mqtt_metrics

__all__ = ["MqttBridge", "StreamCommands", "check_broker", "mqtt_metrics"]
